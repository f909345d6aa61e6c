/** Our elementwise kernels against tfjs's plain backend, over the broadcasts that models make and those they do not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Tensor } from '@tensorflow/tfjs';
import { openCpu } from './cpu.ts';
import type { Device, Tf } from './device.ts';
import { planBroadcast } from './elementwise-kernels.ts';
import './register.node.ts';
import { openWasm } from './wasm.ts';

let wasm: Device;
let tf: Tf;
beforeAll(async () => {
  await openCpu('test');
  wasm = await openWasm('test', { threads: 3 });
  tf = wasm.tf;
});
afterAll(() => wasm.close());

/** The same numbers computed on wasm and on tfjs's plain backend. */
async function both(run: () => Tensor): Promise<[got: Float32Array, want: Float32Array]> {
  const results: Float32Array[] = [];
  for (const backend of ['wasm', 'cpu']) {
    await tf.setBackend(backend);
    const out = tf.tidy(run);
    results.push((await out.data()) as Float32Array);
    out.dispose();
  }
  await tf.setBackend('wasm');
  return results as [Float32Array, Float32Array];
}

const SHAPES: [number[], number[]][] = [
  [[7], [7]],
  [[100_003], [100_003]],
  [[50_000], []],
  [[], [3, 5]],
  [[1], [1]],
  [[300, 129], [129]],
  [
    [300, 129],
    [300, 1],
  ],
  [
    [300, 1],
    [1, 129],
  ],
  [
    [4, 10, 3, 6],
    [10, 1, 6],
  ],
  [
    [2, 3, 4, 5],
    [2, 1, 4, 1],
  ],
  [
    [2, 1, 4, 1],
    [2, 3, 4, 5],
  ],
  [
    [2, 3, 2, 3, 2],
    [1, 3, 1, 3, 1],
  ],
  [
    [64, 33, 33],
    [1, 33, 33],
  ],
  [[0, 4], [4]],
];

describe.each(['add', 'sub', 'mul', 'div'] as const)('%s', (op) => {
  it.each(SHAPES)('%o with %o is exact', async (a, b) => {
    const [got, want] = await both(() => {
      const x = tf.randomUniform(a, 0.5, 2, 'float32', 1);
      return tf[op](x, tf.randomUniform(b, 0.5, 2, 'float32', 2));
    });
    expect(got).toEqual(want);
  });
});

describe('exp', () => {
  it('is within a millionth, from the smallest to the largest', async () => {
    const [got, want] = await both(() => tf.exp(tf.linspace(-86.9, 88.7, 20_001)));
    const worst = got.reduce((w, v, i) => Math.max(w, Math.abs(v / want[i]! - 1)), 0);
    expect(worst).toBeLessThan(1e-6);
  });

  it('is exactly 0 for masked scores, infinite beyond the range, NaN for NaN', async () => {
    const out = [...(await tf.exp([-1e30, -Infinity, 0, 100, Infinity, NaN]).data())];
    expect(out).toEqual([0, 0, 1, Infinity, Infinity, NaN]);
  });
});

describe('sums', () => {
  it.each([
    [[1000, 37], [0]],
    [
      [5, 7, 33],
      [0, 1],
    ],
    [[5, 7, 33], [1]],
    [[5, 7, 33], [2]],
    [
      [3, 4],
      [0, 1],
    ],
    [[0, 3], [0]],
  ])('of %o over %o', async (shape, axes) => {
    for (const keepDims of [false, true]) {
      const [got, want] = await both(() => tf.sum(tf.randomNormal(shape, 0, 1, 'float32', 3), axes, keepDims));
      expect(got.length).toBe(want.length);
      got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThan(1e-4));
    }
  });
});

describe('gather', () => {
  it('takes rows, and single numbers', async () => {
    const ids = (): Tensor => tf.tensor2d([3, 0, 3, 2], [2, 2], 'int32');
    for (const shape of [[5, 7], [5], [5, 2, 3]]) {
      const [got, want] = await both(() => tf.gather(tf.randomNormal(shape, 0, 1, 'float32', 4), ids() as never));
      expect(got).toEqual(want);
    }
  });

  it('refuses a row that is not there', () => {
    expect(() => tf.gather(tf.zeros([5, 7]), tf.tensor1d([5], 'int32'))).toThrow('gather: index 5 outside 0 … 4');
  });
});

describe('shared identities', () => {
  it('keep the data until the last of them goes', async () => {
    const x = tf.tensor1d([1, 2, 3]);
    const y = tf.clone(x);
    const z = tf.cast(y, 'float32');
    x.dispose();
    y.dispose();
    expect([...(await z.data())]).toEqual([1, 2, 3]);
    z.dispose();
  });
});

describe('planBroadcast', () => {
  it('refuses what does not broadcast or does not collapse', () => {
    expect(planBroadcast([2, 3], [4])).toBeNull();
    expect(planBroadcast([2, 3, 2, 3, 2], [1, 3, 1, 3, 1])).toBeNull();
  });

  it('joins what both walk through alike', () => {
    expect(planBroadcast([16, 64, 4, 32], [64, 1, 32])).toMatchObject({ rows: 16 * 64 * 4, cols: 32, n2: 64, n3: 4 });
    expect(planBroadcast([10, 20], [10, 20])).toMatchObject({ rows: 1, cols: 200 });
  });
});
