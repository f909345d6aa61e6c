/** Packed matrices against the weights they came from, and products with them against plain loops over what they stand for. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../device/device.ts';
import { openWasm } from '../device/wasm.ts';
import { activeWasm, type WasmMachine } from '../device/wasm-machine.ts';
import { multiply, pack, unpackedReference, type Matrix } from './packed-weights.ts';

let device: Device;
let machine: WasmMachine;
beforeAll(async () => {
  device = await openWasm('test', { threads: 3 });
  machine = activeWasm()!;
});
afterAll(() => device.close());

const SHAPES = [
  [1, 4],
  [7, 32],
  [45, 96],
  [33, 140],
  [130, 1500],
] as const;

async function product(matrix: Matrix, a: tf.Tensor2D): Promise<Float32Array> {
  const c = machine.allocate<tf.Tensor2D>([a.shape[0], matrix.n]);
  multiply(machine, matrix, machine.addressOf(a), machine.addressOf(c), a.shape[0]);
  const data = (await c.data()) as Float32Array;
  c.dispose();
  return data.slice();
}

describe.each(['q8', 'q4'] as const)('weights packed to %s', (precision) => {
  const steps = precision === 'q8' ? 254 : 15;

  it.each(SHAPES)('are off by half a step of their block at most: %i by %i', (n, k) => {
    const w = tf.randomNormal([n, k], 0.1, 1, 'float32', 7);
    const read = unpackedReference(pack(machine, w, precision));
    const exact = w.dataSync();
    for (let first = 0; first < n * k; first += k)
      for (let at = 0; at < k; at += 32) {
        const block = exact.slice(first + at, first + Math.min(k, at + 32));
        const [low, high] = [Math.min(...block), Math.max(...block)];
        const span = precision === 'q8' ? 2 * Math.max(high, -low) : high - low;
        const off = [...block].map((x, i) => Math.abs(x - read[first + at + i]));
        // Of 4 bits the other way is taken where it is the better one on the whole.
        const most = precision === 'q8' ? span / steps / 2 : Math.max(span / steps, Math.max(high, -low) / 8);
        expect(Math.max(...off)).toBeLessThanOrEqual(most * 1.0001);
      }
  });

  it('keeps the numbers of a file of its kind', () => {
    const d = 0.0123;
    const [least, count] = precision === 'q8' ? [-127, 255] : [-8, 16];
    const w = Float32Array.from({ length: 96 }, (_, i) => d * (least + Math.round(((i % 32) * (count - 1)) / 31)));
    const read = unpackedReference(pack(machine, tf.tensor2d(w, [3, 32]), precision));
    expect(Math.max(...w.map((x, i) => Math.abs(x - read[i])))).toBeLessThan(1e-6);
  });

  it('stand for nothing where all are 0', () => {
    expect([...unpackedReference(pack(machine, tf.zeros([2, 40]), precision))]).toEqual(new Array(80).fill(0));
  });

  it.each(SHAPES)('multiply as what they stand for: %i by %i', async (n, k) => {
    const matrix = pack(machine, tf.randomNormal([n, k], 0, 1, 'float32', 3), precision);
    const read = unpackedReference(matrix);
    for (const m of [1, 2, 3, 7, 40]) {
      const a = tf.randomNormal<tf.Rank.R2>([m, k], 0, 1, 'float32', m);
      const numbers = a.dataSync();
      const got = await product(matrix, a);
      let [worst, largest] = [0, 0];
      for (let i = 0; i < m; i++)
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let t = 0; t < k; t++) sum += numbers[i * k + t] * read[j * k + t];
          worst = Math.max(worst, Math.abs(sum - got[i * n + j]));
          largest = Math.max(largest, Math.abs(sum));
        }
      expect(worst / largest, `${m} rows`).toBeLessThan(5e-5);
    }
  });

  it('give a row the same bits alone and among others, with zeros and tiny numbers in it too', async () => {
    const [n, k] = [67, 140];
    const matrix = pack(machine, tf.randomNormal([n, k], 0, 1, 'float32', 3), precision);
    const rows = tf.randomNormal<tf.Rank.R2>([37, k], 0, 1, 'float32', 5).arraySync();
    rows[0].fill(0);
    rows[1].fill(1e-38);
    const all = await product(matrix, tf.tensor2d(rows));
    expect(all.every(Number.isFinite)).toBe(true);
    expect([...all.subarray(0, n)]).toEqual(new Array(n).fill(0));
    for (const m of [1, 2, 3, 5, 16, 20])
      expect(await product(matrix, tf.tensor2d(rows.slice(0, m)))).toEqual(all.slice(0, m * n));
  });
});
