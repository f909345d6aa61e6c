/** The training pass against the plain trunk: states and gradients, for every architecture and way of training. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import { adapterFrom } from '../model/trunk-testing.ts';
import type { ForwardWeights, TokenBatch } from '../model/trunk.ts';
import { activeGpu } from './gpu.ts';
import { cutFor, GPU_CUT, SOFTWARE_CUT } from './sized-kernel.ts';
import { someNumbers } from './testing.ts';
import { TrainingPass } from './training-pass.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;
const halves = typeof adapter !== 'string' && adapter.adapter.features.has('shader-f16');

const BASE = {
  ...{ hidden: 40, intermediate: 52, layers: 2, heads: 6, kvHeads: 2, headDim: 8, vocab: 31, contextLength: 64 },
  ...{ ropeTheta: 10_000, ropeScaling: null, rmsEps: 1e-6, tied: true, eosIds: [], bosId: null, padId: null },
} as const;
const CONFIGS: readonly ModelConfig[] = [
  { ...BASE, architecture: 'llama', attentionBias: false, qkNorm: false },
  { ...BASE, architecture: 'qwen2', attentionBias: true, qkNorm: false, kvHeads: 6 },
  { ...BASE, architecture: 'qwen3', attentionBias: false, qkNorm: true, kvHeads: 1 },
];
const BATCH: TokenBatch = {
  ids: Int32Array.from({ length: 42 }, (_, i) => (i * 11) % 31),
  ...{ batch: 3, length: 14, lengths: Int32Array.of(14, 4, 7) },
};
const SHARED: TokenBatch = { ...BATCH, prefix: Int32Array.of(3, 1, 4, 1, 5, 9) };
/** In no order, and none of the second sequence. */
const ROWS = Int32Array.of(33, 12, 1, 13, 30);

type Named = Record<string, tf.Tensor>;

function weightsOf(config: ModelConfig, scale = 0.3): Named {
  let seed = 1;
  return Object.fromEntries(
    [...parameterShapes(config)].map(([name, shape]) => {
      const values = someNumbers(shape.reduce((a, b) => a * b, 1), seed++, scale); // prettier-ignore
      return [name, tf.tensor(name.includes('norm') ? values.map((v) => v + 1) : values, [...shape])];
    }),
  );
}

/** On some linear layers, with a rank that is no multiple of four. */
function pairTensors(config: ModelConfig): Named {
  const tensors: Named = {};
  for (const [name, [out, input]] of parameterShapes(config)) {
    if (!/(q_proj|v_proj|o_proj|up_proj|down_proj)\.weight$/.test(name)) continue;
    const linear = name.replace('.weight', '');
    tensors[`${linear}.a`] = tf.tensor2d(someNumbers(3 * input, out, 0.5), [3, input]);
    tensors[`${linear}.b`] = tf.tensor2d(someNumbers(3 * out, input, 0.5), [out, 3]);
  }
  return tensors;
}

type ForwardAt = (batch: TokenBatch, rows: Int32Array, using: ForwardWeights) => tf.Tensor2D;

/** States, and gradients of a scalar of them, of this size. */
async function gradients(
  forwardAt: ForwardAt,
  batch: TokenBatch,
  named: Named,
  using: (named: Named) => ForwardWeights,
  size = 1,
): Promise<Float32Array[]> {
  const names = Object.keys(named);
  let states: tf.Tensor | null = null;
  const { value, grads } = tf.valueAndGrads((...tensors) => {
    const rows = forwardAt(batch, ROWS, using(Object.fromEntries(names.map((name, i) => [name, tensors[i]]))));
    states = tf.keep(rows.clone());
    return tf.sum(tf.mul(rows, tf.mul(tf.cos(tf.range(0, rows.size)), size).reshape(rows.shape)));
  })(names.map((name) => named[name]));
  const read: Float32Array[] = [];
  for (const tensor of [states!, ...grads] as tf.Tensor[]) read.push(Float32Array.from(await tensor.data()));
  tf.dispose([value, grads, states!]);
  return read;
}

function same(got: Float32Array[], wanted: Float32Array[], names: readonly string[]): void {
  for (const [i, values] of wanted.entries()) {
    const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
    const worst = values.reduce((most, x, j) => Math.max(most, Math.abs(got[i][j] - x)), 0);
    expect(worst / largest, ['states', ...names][i]).toBeLessThan(5e-4);
  }
}

describe.skipIf(absent)(`the training pass ${absent ?? ''}`, { timeout: 600_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  async function compare(
    config: ModelConfig,
    pass: TrainingPass,
    batch: TokenBatch,
    way: 'all weights' | 'an adapter',
  ): Promise<void> {
    const weights = weightsOf(config);
    const named = way === 'an adapter' ? pairTensors(config) : weights;
    const using = (tensors: Named): ForwardWeights =>
      way === 'an adapter' ? { weights, adapter: adapterFrom(tensors) } : { weights: tensors, adapter: null };
    const plain = makeTfjsTrunk(config);
    const wanted = await gradients(plain.forwardAt, batch, named, using);
    const before = tf.memory().numTensors;
    const got = await gradients((...args) => pass.states(...args), batch, named, using);
    expect(tf.memory().numTensors - before).toBeLessThanOrEqual(1); // the table of positions
    same(got, wanted, Object.keys(named));
    tf.dispose([weights, named]);
    plain.dispose();
    pass.dispose();
  }

  describe.each(CONFIGS)('of $architecture', (config) => {
    it.each(['all weights', 'an adapter'] as const)('gives the plain states and gradients of %s', async (way) => {
      await compare(config, new TrainingPass(activeGpu(), config, SOFTWARE_CUT), SHARED, way);
    });
  });

  it('gives them without shared rows, when nothing but inputs is kept', async () => {
    await compare(CONFIGS[2], new TrainingPass(activeGpu(), CONFIGS[2], SOFTWARE_CUT, 0), BATCH, 'all weights');
  });

  it('gives them as it is cut for this adapter', async () => {
    const pass = new TrainingPass(activeGpu(), CONFIGS[1], cutFor(activeGpu()));
    await compare(CONFIGS[1], pass, SHARED, 'an adapter');
  });

  it('gives them as it is cut for a GPU', async () => {
    await compare(CONFIGS[2], new TrainingPass(activeGpu(), CONFIGS[2], GPU_CUT), SHARED, 'an adapter');
  });

  describe.skipIf(!halves)('with half floats between kernels', () => {
    /** Of all gradients with halves, how far each lies from the exact one, and the exact ones' sizes, by name. */
    async function beside(
      config: ModelConfig,
      way: 'all weights' | 'an adapter',
      lossScale: number,
      size = 1,
    ): Promise<{ readonly name: string; readonly off: number; readonly length: number; readonly zero: boolean }[]> {
      const weights = weightsOf(config, 0.1);
      const named = way === 'an adapter' ? pairTensors(config) : weights;
      const using = (tensors: Named): ForwardWeights =>
        way === 'an adapter' ? { weights, adapter: adapterFrom(tensors) } : { weights: tensors, adapter: null };
      const pass = new TrainingPass(activeGpu(), config, cutFor(activeGpu()));
      const run = (flow: Partial<ForwardWeights>): Promise<Float32Array[]> =>
        gradients((rows, asked, own) => pass.states(rows, asked, { ...own, ...flow }), SHARED, named, using, size);
      const wanted = await run({});
      const got = await run({ activations: 'f16', lossScale });
      const names = ['states', ...Object.keys(named)];
      tf.dispose([weights, named]);
      pass.dispose();
      return names.map((name, i) => ({
        name,
        off: length(got[i].map((x, j) => x - wanted[i][j])) / length(wanted[i]),
        length: length(wanted[i]),
        zero: got[i].every((x) => x === 0),
      }));
    }

    const length = (values: Float32Array): number => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

    it.each(['all weights', 'an adapter'] as const)('gives nearly the exact gradients of %s', async (way) => {
      for (const config of CONFIGS) {
        const all = await beside(config, way, 1024);
        for (const { name, off } of all) expect(off, name).toBeLessThan(0.1);
        const squares = (of: (one: (typeof all)[number]) => number) =>
          all.slice(1).reduce((sum, one) => sum + of(one) ** 2, 0);
        expect(squares(({ off, length }) => off * length) / squares(({ length }) => length)).toBeLessThan(1e-2 ** 2);
      }
    });

    it('loses gradients too small for halves, and none where the loss is scaled', async () => {
      const inner = ({ name }: { name: string }): boolean => /layers.*_proj/.test(name);
      const lost = (await beside(CONFIGS[0], 'all weights', 1, 1e-12)).filter(inner);
      expect(lost.filter(({ zero }) => zero).map(({ name }) => name)).toContain(
        'model.layers.0.self_attn.q_proj.weight',
      );
      expect(lost.every(({ length }) => length > 0)).toBe(true);
      const scaled = (await beside(CONFIGS[0], 'all weights', 2 ** 30, 1e-12)).filter(inner);
      for (const { name, off } of scaled) expect(off, name).toBeLessThan(2e-2);
    });

    it('ends in no number where the loss is scaled too far', async () => {
      const far = await beside(CONFIGS[0], 'an adapter', 2 ** 40);
      expect(far.filter(({ off }) => Number.isNaN(off)).length).toBeGreaterThan(0);
      expect(far[0].off).toBeLessThan(2e-2); // states are as they were
    });
  });
});
