/**
 * Everything a GPU runs, on a device that offers no more than WebGPU promises of every one: no feature, 8 storage buffers a
 * stage, 256 threads and 16 KiB a workgroup. The device itself refuses what would take more.
 */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import type { Device } from '../device/open.ts';
import { openWebGpu } from '../device/webgpu.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import type { Adapter, ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import { makeFastTrunk } from './fast-trunk.ts';
import { fusedScores } from './fused-head.ts';
import { activeGpu } from './gpu.ts';
import { GPU_TUNING } from './kernel.ts';
import { GPU_CUT } from './sized-kernel.ts';
import { largestDifference, someNumbers } from './testing.ts';

const found = await findAdapter();
const absent = typeof found === 'string' ? `skipped: ${found}` : null;

/** With all that a layer may have: norms of heads, a bias. */
const CONFIG: ModelConfig = {
  ...{ architecture: 'qwen3', hidden: 64, intermediate: 100, layers: 1, heads: 4, kvHeads: 2, headDim: 16, vocab: 204 },
  ...{ contextLength: 512, ropeTheta: 10_000, ropeScaling: null, rmsEps: 1e-6, tied: true },
  ...{ attentionBias: true, qkNorm: true, eosIds: [], bosId: null, padId: null },
};

describe.skipIf(absent)(`the least that a GPU offers ${absent ?? ''}`, { timeout: 600_000 }, () => {
  let device: Device;
  let weights: Record<string, tf.Tensor>;
  let adapter: Adapter;

  beforeAll(async () => {
    if (typeof found === 'string') return;
    const real = found.adapter;
    const least = {
      ...{ info: real.info, features: new Set(), limits: {} },
      requestDevice: (asked: GPUDeviceDescriptor) => real.requestDevice(asked),
    };
    device = await openWebGpu('a test', { ...found, adapter: least as unknown as GPUAdapter });
    weights = Object.fromEntries(
      [...parameterShapes(CONFIG)].map(([name, shape], seed) => {
        const values = someNumbers(shape.reduce((a, b) => a * b, 1), seed, 0.3); // prettier-ignore
        return [name, tf.tensor(name.includes('norm') ? values.map((v) => v + 1) : values, [...shape])];
      }),
    );
    const low = (out: number, columns: number, seed: number) => ({
      a: tf.tensor2d(someNumbers(4 * columns, seed, 0.3), [4, columns]),
      b: tf.tensor2d(someNumbers(out * 4, seed + 1, 0.3), [out, 4]),
    });
    const pairs = Object.entries({ 'self_attn.q_proj': 64, 'self_attn.o_proj': 64, 'mlp.up_proj': 100 });
    const layers = pairs.map(([name, out], i) => [`model.layers.0.${name}`, low(out, 64, 20 + 2 * i)] as const);
    adapter = {
      scale: 0.5,
      layers: { ...Object.fromEntries(layers), 'model.layers.0.mlp.down_proj': low(64, 100, 40) },
    };
  });
  afterAll(() => device.close());

  it('is what the device was asked for', () => {
    const { limits, features } = device.gpu!;
    const { maxStorageBuffersPerShaderStage, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } =
      limits;
    expect(maxStorageBuffersPerShaderStage).toBeLessThanOrEqual(10);
    expect([maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup]).toEqual([16384, 256]);
    expect(['shader-f16', 'subgroups', 'timestamp-query'].filter((one) => features.has(one))).toEqual([]);
  });

  /** States of prompts, the longest with more keys than a span, and of a token more each; and ids that are drawn next. */
  async function sample(trunk: Trunk, count: number, using: ForwardWeights): Promise<Float32Array[]> {
    const lengths = Int32Array.from({ length: count }, (_, i) => (i === 0 ? 270 : 3 + i));
    const batch: TokenBatch = {
      ...{ batch: count, length: 270, lengths },
      ids: Int32Array.from({ length: count * 270 }, (_, i) => (i * 17) % CONFIG.vocab),
    };
    const cache = trunk.openCache(count, 320, [using]);
    const ids = tf.tensor1d(Int32Array.from({ length: count }, (_, i) => i + 1)); // prettier-ignore
    const hidden = [trunk.prefill(cache, batch, using), trunk.decode(cache, tf.cast(ids, 'int32'))];
    const states = await Promise.all(hidden.map(async (one) => Float32Array.from(await one.data())));
    if (trunk.drawing) {
      const sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 9, stop: [], seed: 1 };
      const rows = [...lengths].map((position, i) => ({ sampling: { ...sampling, topK: i % 2 ? 5 : 0 }, position }));
      const draw = trunk.drawing.next(cache, tf.cast(ids, 'int32'), rows);
      expect((await draw.ids.data()).every((id) => id >= 0 && id < CONFIG.vocab)).toBe(true);
      tf.dispose([draw.ids, draw.numbers]);
    }
    tf.dispose([ids, hidden]);
    cache.dispose();
    return states;
  }

  it.each([
    { count: 1, how: {} },
    { count: 9, how: { rollout: 'q8', keys: 'f16' } },
  ] as const)('samples: %j', async ({ count, how }) => {
    const trunk = makeFastTrunk(activeGpu(), CONFIG, GPU_TUNING, GPU_CUT);
    const plain = makeTfjsTrunk(CONFIG);
    const wanted = await sample(plain, count, { weights, adapter });
    const got = await sample(trunk, count, { weights, adapter, ...how });
    for (const [i, states] of wanted.entries())
      expect(largestDifference(got[i], states)).toBeLessThan('rollout' in how ? 1 : 1e-3);
    trunk.dispose();
    await device.yieldToEvents();
  });

  it('learns', async () => {
    const trunk = makeFastTrunk(activeGpu(), CONFIG, GPU_TUNING, GPU_CUT);
    const batch: TokenBatch = {
      ids: Int32Array.from({ length: 60 }, (_, i) => (i * 11) % CONFIG.vocab),
      ...{ batch: 3, length: 20, lengths: Int32Array.of(20, 14, 7) },
    };
    const rows = Int32Array.from({ length: 12 }, (_, i) => i + 2);
    const targets = rows.map((row) => (row * 31) % CONFIG.vocab);
    const names = Object.keys(weights);
    const scoresOf = (own: Trunk, fused: boolean) => (named: Record<string, tf.Tensor>) => {
      const head = named['model.embed_tokens.weight'] as tf.Tensor2D;
      const states = own.forwardAt(batch, rows, { weights: named, adapter: null });
      const options = { entropyGradient: false, trainHead: true };
      if (fused) return tf.sum(tf.slice(fusedScores(activeGpu(), states, head, targets, options, { cut: GPU_CUT }), [0, 0], [-1, 1])); // prettier-ignore
      const logits = tf.logSoftmax(tf.matMul(states, head, false, true));
      return tf.sum(tf.mul(logits, tf.oneHot(tf.tensor1d(targets, 'int32'), CONFIG.vocab)));
    };
    const gradients = async (own: Trunk, fused: boolean): Promise<Float32Array[]> => {
      const loss = scoresOf(own, fused);
      const { value, grads } = tf.valueAndGrads((...all) =>
        loss(Object.fromEntries(names.map((name, i) => [name, all[i]]))).asScalar(),
      )(names.map((name) => weights[name])); // prettier-ignore
      const read = await Promise.all([value, ...grads].map(async (one) => Float32Array.from(await one.data())));
      tf.dispose([value, grads]);
      return read;
    };
    const wanted = await gradients(makeTfjsTrunk(CONFIG), false);
    const got = await gradients(trunk, true);
    for (const [i, values] of wanted.entries()) {
      const scale = values.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
      expect(largestDifference(got[i], values) / scale, names[i - 1]).toBeLessThan(1e-3);
    }
    trunk.dispose();
    await device.yieldToEvents();
  });
});
