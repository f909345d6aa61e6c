/** Steps in WebAssembly against the plain trunk for every architecture, and what may change no bit of them. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { activeWasm } from '../device/wasm-machine.ts';
import type { ModelConfig } from '../formats/config.ts';
import { LINEAR_LAYERS } from '../formats/peft.ts';
import type { KeyValueCache } from '../model/cache.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import { adapterFrom, drawnPairs, drawnWeights } from '../model/trunk-testing.ts';
import { headPrecision, headWeight, type ForwardWeights, type TokenBatch, type Trunk } from '../model/trunk.ts';
import { tokenBatch } from '../rollout/token-batch.ts';
import { pack, unpackedReference } from './packed-weights.ts';
import { makeWasmTrunk, wasmTrunkFits } from './wasm-trunk.ts';

const BASE = {
  ...{ hidden: 36, intermediate: 52, layers: 3, heads: 6, kvHeads: 2, headDim: 40, vocab: 101, contextLength: 128 },
  ...{ ropeTheta: 10_000, ropeScaling: null, rmsEps: 1e-6, tied: true, eosIds: [], bosId: null, padId: null },
} as const;
const CONFIGS: readonly ModelConfig[] = [
  { ...BASE, architecture: 'llama', attentionBias: false, qkNorm: false },
  { ...BASE, architecture: 'qwen2', attentionBias: true, qkNorm: false, kvHeads: 6, headDim: 8, tied: false },
  { ...BASE, architecture: 'qwen3', attentionBias: false, qkNorm: true, kvHeads: 1 },
];
const CAPACITY = 96;

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm');
});
afterAll(() => device.close());

const someIds = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => (i * (7 + seed) + seed * 13) % BASE.vocab);
const HISTORY = someIds(30, 1);
const PROMPTS = [[...HISTORY, ...someIds(11, 2)], someIds(9, 3), [...HISTORY, ...someIds(3, 4)], [5]];

/** States of prompts and of some steps after them, row by row. */
function states(trunk: Trunk, using: ForwardWeights, prompts: readonly (readonly number[])[], steps = 4): number[][] {
  return read(trunk, using, tokenBatch(prompts), steps);
}

function read(trunk: Trunk, using: ForwardWeights, batch: TokenBatch, steps: number): number[][] {
  const cache = trunk.openCache(batch.batch, CAPACITY);
  const rows: number[][] = Array.from({ length: batch.batch }, () => []);
  const take = (hidden: tf.Tensor2D): void => {
    const logits =
      trunk.logits?.(cache, hidden) ?? tf.matMul(hidden, headWeight(trunk.config, using.weights), false, true);
    for (const tensor of [hidden, logits]) {
      (tensor.arraySync() as number[][]).forEach((row, i) => rows[i].push(...row));
      tensor.dispose();
    }
  };
  take(trunk.prefill(cache, batch, using));
  for (let step = 0; step < steps; step++) {
    const ids = tf.tensor1d(rows.map((_, i) => (i * 17 + step * 5) % BASE.vocab), 'int32'); // prettier-ignore
    take(trunk.decode(cache, ids));
    ids.dispose();
  }
  cache.dispose();
  return rows;
}

function largestDifference(a: readonly number[][], b: readonly number[][]): number {
  const [got, wanted] = [a.flat(), b.flat()];
  expect(got.length).toBe(wanted.length);
  return got.reduce((most, x, i) => Math.max(most, Number.isNaN(x) ? Infinity : Math.abs(x - wanted[i])), 0);
}

describe.each(CONFIGS)('the WebAssembly trunk of $architecture', (config) => {
  const trunkOf = (prefixBytes?: number): Trunk => makeWasmTrunk(activeWasm()!, config, prefixBytes);

  it('is the plain trunk, with an adapter and without', () => {
    expect(wasmTrunkFits(config)).toBe(true);
    const weights = drawnWeights(config);
    for (const adapter of [null, adapterFrom(drawnPairs(config, /(q|v|o|up|down)_proj$/))]) {
      const using = { weights, adapter };
      const wanted = states(makeTfjsTrunk(config), using, PROMPTS);
      expect(largestDifference(states(trunkOf(), using, PROMPTS), wanted)).toBeLessThan(2e-4);
    }
  });

  it.each(['q8', 'q4'] as const)('answers on %s weights as the plain trunk on what those stand for', (rollout) => {
    const weights = drawnWeights(config);
    const rounded = { ...weights };
    const machine = activeWasm()!;
    const round = (tensor: tf.Tensor, precision: 'q8' | 'q4'): tf.Tensor =>
      tf.tensor(unpackedReference(pack(machine, tensor, precision)), tensor.shape);
    for (const name of Object.keys(weights))
      if (LINEAR_LAYERS.some((linear) => name.endsWith(`${linear}.weight`)))
        rounded[name] = round(weights[name], rollout);
    const head = round(headWeight(config, weights), headPrecision(rollout)) as tf.Tensor2D;
    const exact = makeTfjsTrunk(config);
    // Prompts are read by the exact weights.
    const plain: Trunk = {
      ...exact,
      logits: (_, x) => tf.matMul(x, head, false, true),
      prefill: (cache, batch, using) => {
        const hidden = exact.prefill(cache, batch, using);
        (cache as KeyValueCache).runWith({ weights: rounded, adapter: null });
        return hidden;
      },
    };
    const wanted = states(plain, { weights, adapter: null }, PROMPTS);
    const got = states(trunkOf(), { weights, adapter: null, rollout }, PROMPTS);
    expect(largestDifference(got, wanted)).toBeLessThan(5e-3);
  });

  it.each(['f32', 'q8'] as const)(
    'gives a sequence the same bits alone, among others and after what is known: %s',
    (rollout) => {
      const using = { weights: drawnWeights(config), adapter: null, rollout };
      const together = states(trunkOf(), using, PROMPTS);
      const alone = PROMPTS.map((prompt) => states(trunkOf(0), using, [prompt])[0]);
      // Steps feed every row other tokens by its number: only what the prompts left is compared.
      const width = config.hidden + config.vocab;
      expect(together.map((row) => row.slice(0, width))).toEqual(alone.map((row) => row.slice(0, width)));
      const kept = trunkOf();
      states(kept, using, [PROMPTS[0]], 0);
      expect(states(kept, using, PROMPTS)).toEqual(together);
      expect(states(kept, using, PROMPTS)).toEqual(together);
    },
  );

  it('computes nothing twice that prompts begin with, within its bound of memory', () => {
    const using = { weights: drawnWeights(config), adapter: null };
    const asked = vi.spyOn(activeWasm()!.gemm, 'multiply');
    /** Rows that all products of a call took together. */
    const rowsOf = (trunk: Trunk): number => {
      asked.mockClear();
      states(trunk, using, [PROMPTS[0]], 0);
      return asked.mock.calls.reduce((sum, [{ m }]) => sum + m, 0);
    };
    const [kept, forgetful] = [trunkOf(), trunkOf(100)];
    const all = rowsOf(kept);
    expect(rowsOf(forgetful)).toBe(all);
    expect(rowsOf(forgetful)).toBe(all);
    expect(rowsOf(kept)).toBeLessThan(all / 5);
    asked.mockRestore();
  });

  it('computes anew under weights that came in the place of others', () => {
    const weights = drawnWeights(config);
    const trunk = trunkOf();
    states(trunk, { weights, adapter: null }, [PROMPTS[0]]);
    const name = 'model.layers.0.self_attn.k_proj.weight';
    const trained = { weights: { ...weights, [name]: tf.mul(weights[name], 1.1) }, adapter: null };
    tf.dispose(weights[name]);
    const before = tf.memory().numBytes;
    expect(states(trunk, trained, [PROMPTS[0]])).toEqual(states(trunkOf(0), trained, [PROMPTS[0]]));
    expect(tf.memory().numBytes - before).toBeLessThan(tf.memory().numBytes / 2);
  });

  it('gives everything back', () => {
    const weights = drawnWeights(config);
    states(trunkOf(), { weights, adapter: null }, PROMPTS);
    const before = tf.memory().numTensors;
    const trunk = trunkOf();
    states(trunk, { weights, adapter: null }, PROMPTS);
    trunk.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
