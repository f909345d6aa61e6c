/** The layer with the hand-written gradient against the plain one, for every architecture and way of training. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { useFused } from '../device/fused.ts';
import { openDevice, type Device } from '../device/open.ts';
import type { ModelConfig } from '../formats/config.ts';
import { leanBlockFits } from './lean-block.ts';
import { makeTfjsTrunk } from './tfjs-trunk.ts';
import { adapterFrom, drawnPairs, drawnWeights } from './trunk-testing.ts';
import type { ForwardWeights, TokenBatch } from './trunk.ts';

const BASE = {
  ...{ hidden: 40, intermediate: 52, layers: 2, heads: 6, kvHeads: 2, headDim: 8, vocab: 31, contextLength: 64 },
  ...{ ropeTheta: 10_000, ropeScaling: null, rmsEps: 1e-6, tied: true, eosIds: [], bosId: null, padId: null },
} as const;
const CONFIGS: readonly ModelConfig[] = [
  { ...BASE, architecture: 'llama', attentionBias: false, qkNorm: false },
  { ...BASE, architecture: 'qwen2', attentionBias: true, qkNorm: false, kvHeads: 6 },
  { ...BASE, architecture: 'qwen3', attentionBias: false, qkNorm: true, kvHeads: 1 },
];
const BATCH = {
  ids: Int32Array.from({ length: 27 }, (_, i) => (i * 11) % 31),
  batch: 3,
  length: 9,
  lengths: Int32Array.of(9, 4, 7),
};
const PREFIX = Int32Array.of(7, 3, 29, 3, 14);
const ROWS = Int32Array.of(25, 1, 2, 12, 20);
const CASES = [
  { rows: undefined, batch: BATCH, title: 'all rows' },
  { rows: ROWS, batch: BATCH, title: 'some rows' },
  { rows: undefined, batch: { ...BATCH, prefix: PREFIX }, title: 'all rows after a shared prefix' },
  { rows: ROWS, batch: { ...BATCH, prefix: PREFIX }, title: 'some rows after a shared prefix' },
];

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm');
});
afterAll(() => device.close());

/** Value and gradients of a scalar of the states, with the lean layer or the plain one. */
function gradients(
  config: ModelConfig,
  lean: boolean,
  named: Record<string, tf.Tensor>,
  using: (named: Record<string, tf.Tensor>) => ForwardWeights,
  { batch, rows }: { batch: TokenBatch; rows: Int32Array | undefined },
): number[][] {
  const before = useFused(lean);
  expect(leanBlockFits(config)).toBe(lean);
  const trunk = makeTfjsTrunk(config);
  const names = Object.keys(named);
  const { value, grads } = tf.valueAndGrads((...tensors) => {
    const weights = using(Object.fromEntries(names.map((name, i) => [name, tensors[i]])));
    const states = rows ? trunk.forwardAt(batch, rows, weights) : trunk.forward(batch, weights);
    return tf.sum(tf.mul(states, tf.cos(tf.range(0, states.size)).reshape(states.shape)));
  })(names.map((name) => named[name]));
  const read = [[...value.dataSync()], ...grads.map((grad) => [...grad.dataSync()])];
  tf.dispose([value, grads]);
  trunk.dispose();
  useFused(before);
  return read;
}

function same(lean: number[][], plain: number[][], names: readonly string[]): void {
  for (const [i, wanted] of plain.entries()) {
    const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
    const worst = wanted.reduce((most, x, j) => Math.max(most, Math.abs(lean[i][j] - x)), 0);
    expect(worst / largest, names[i - 1] ?? 'value').toBeLessThan(2e-4);
  }
}

describe.each(CONFIGS)('the lean layer of $architecture', (config) => {
  it.each(CASES)('gives the plain gradients of all weights: $title', (one) => {
    const weights = drawnWeights(config);
    const using = (named: Record<string, tf.Tensor>): ForwardWeights => ({ weights: named, adapter: null });
    same(
      gradients(config, true, weights, using, one),
      gradients(config, false, weights, using, one),
      Object.keys(weights),
    );
  });

  it.each(CASES)('gives the plain gradients of an adapter: $title', (one) => {
    const weights = drawnWeights(config);
    const named = drawnPairs(config, /(q|v|o|down)_proj$/);
    const using = (tensors: Record<string, tf.Tensor>): ForwardWeights => ({ weights, adapter: adapterFrom(tensors) });
    same(gradients(config, true, named, using, one), gradients(config, false, named, using, one), Object.keys(named));
  });

  it('leaves no tensor behind', () => {
    const weights = drawnWeights(config);
    const using = (named: Record<string, tf.Tensor>): ForwardWeights => ({ weights: named, adapter: null });
    gradients(config, true, weights, using, CASES[3]);
    const before = tf.memory().numTensors;
    gradients(config, true, weights, using, CASES[3]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
