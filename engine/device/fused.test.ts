/** The fused operations and their gradients against plain tfjs operations on the plain backend. */
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from './device.ts';
import { fusedCausalSoftmax, fusedGated, fusedRmsNorm, fusedRope, useFused } from './fused.ts';
import './register.node.ts';
import { openWasm } from './wasm.ts';

let device: Device;
beforeAll(async () => {
  device = await openWasm('test', { threads: 3 });
});
afterAll(() => device.close());

type Op = (...inputs: tf.Tensor[]) => tf.Tensor;

/** Largest differences of value and of every gradient, against a random direction. */
async function compare(fused: Op, plain: Op, shapes: number[][]): Promise<number> {
  const results: Float32Array[][] = [];
  for (const [backend, op] of [
    ['wasm', fused],
    ['cpu', plain],
  ] as const) {
    await tf.setBackend(backend);
    const inputs = shapes.map((shape, i) => tf.randomNormal(shape, 0, 1.5, 'float32', i + 1));
    const value = tf.tidy(() => op(...inputs));
    const direction = tf.randomNormal(value.shape, 0, 1, 'float32', 99);
    const gradients = tf.grads((...xs: tf.Tensor[]) => tf.sum(tf.mul(op(...xs), direction)))(inputs);
    results.push((await Promise.all([value, ...gradients].map((t) => t.data()))) as Float32Array[]);
  }
  await tf.setBackend('wasm');
  const [got, want] = results as [Float32Array[], Float32Array[]];
  return Math.max(
    ...got.map((t, n) =>
      t.reduce((w, v, i) => Math.max(w, Number.isNaN(v) ? Infinity : Math.abs(v - want[n]![i]!)), 0),
    ),
  );
}

describe('fused operations equal plain ones, with gradients', () => {
  it.each([
    [[3, 8], [8]],
    [[2, 5, 36], [36]],
    [[700, 64], [64]],
  ])('rmsNorm %o', async (...shapes) => {
    const plain: Op = (x, w) => tf.mul(tf.mul(x!, tf.rsqrt(tf.add(tf.mean(tf.square(x!), -1, true), 1e-5))), w!);
    expect(await compare((x, w) => fusedRmsNorm(x!, w!, 1e-5)!, plain, shapes)).toBeLessThan(2e-4);
  });

  it.each([
    [
      [3, 8],
      [3, 8],
    ],
    [
      [500, 172],
      [500, 172],
    ],
  ])('gated %o', async (...shapes) => {
    const plain: Op = (g, u) => tf.mul(tf.mul(g!, tf.sigmoid(g!)), u!);
    expect(await compare((g, u) => fusedGated(g!, u!)!, plain, shapes)).toBeLessThan(1e-5);
  });

  it.each([[[4, 1, 1]], [[2, 3, 7, 7]], [[6, 50, 50]], [[40, 33, 33]]])('causalSoftmax %o', async (shape) => {
    const length = shape!.at(-1)!;
    const plain: Op = (x) => {
      const mask = tf.sub(1, tf.linalg.bandPart(tf.ones([length, length]), -1, 0));
      return tf.softmax(tf.add(tf.mul(x!, 0.3), tf.mul(mask, -1e30)));
    };
    expect(await compare((x) => fusedCausalSoftmax(x!, 0.3)!, plain, [shape!])).toBeLessThan(2e-6);
  });

  it.each([
    [2, 5, 3, 8],
    [16, 40, 4, 32],
  ])('rope %i × %i positions, %i heads of %i', async (batch, positions, heads, size) => {
    const table = (f: (angle: number) => number): tf.Tensor =>
      tf.tensor(
        Array.from({ length: positions * size }, (_, i) => f(Math.floor(i / size) / 10 ** ((i % (size / 2)) / 4))),
        [positions, 1, size],
      );
    const plain: Op = (x) => {
      const split = tf.reshape(x!, [batch, positions, heads, size]);
      const [a, b] = tf.split(split, 2, -1) as [tf.Tensor, tf.Tensor];
      return tf.reshape(
        tf.add(tf.mul(split, table(Math.cos)), tf.mul(tf.concat([tf.neg(b), a], -1), table(Math.sin))),
        x!.shape,
      );
    };
    const fused: Op = (x) => fusedRope(x!, heads, table(Math.cos), table(Math.sin))!;
    expect(await compare(fused, plain, [[batch * positions, heads * size]])).toBeLessThan(3e-6);
  });
});

describe('fused operations', () => {
  it('give a row the same bits whatever stands beside it', async () => {
    const x = tf.randomNormal([300, 64], 0, 1, 'float32', 5);
    const w = tf.randomNormal([64], 0, 1, 'float32', 6);
    const one = tf.slice(x, [0, 0], [1, 64]);
    expect((await fusedRmsNorm(x, w, 1e-6)!.data()).slice(0, 64)).toEqual(await fusedRmsNorm(one, w, 1e-6)!.data());
    expect((await fusedGated(x, x)!.data()).slice(0, 64)).toEqual(await fusedGated(one, one)!.data());
  });

  it('weigh the first keys alike however many follow', async () => {
    const long = tf.randomNormal([1, 40, 40], 0, 1, 'float32', 7);
    const short = tf.slice(long, [0, 0, 0], [1, 23, 23]);
    const [a, b] = [
      await fusedCausalSoftmax(long, 1)!.array(),
      await fusedCausalSoftmax(short, 1)!.array(),
    ] as number[][][][];
    for (let query = 0; query < 23; query++) expect(a![0]![query]!.slice(0, 23)).toEqual(b![0]![query]);
  });

  it('survive extreme inputs', async () => {
    const gate = tf.tensor2d([[-200, -90, 90, 200]]);
    const out = await fusedGated(gate, tf.onesLike(gate))!.data();
    out.forEach((v, i) => expect(v).toBeCloseTo([0, 0, 90, 200][i]!, 4));
  });

  it('are absent on the plain backend, for odd widths and when turned off', async () => {
    expect(fusedRmsNorm(tf.zeros([2, 6]), tf.zeros([6]), 1e-6)).toBeNull();
    const before = useFused(false);
    expect(fusedCausalSoftmax(tf.zeros([1, 2, 2]), 1)).toBeNull();
    useFused(before);
    await tf.setBackend('cpu');
    expect(fusedGated(tf.zeros([2, 8]), tf.zeros([2, 8]))).toBeNull();
    await tf.setBackend('wasm');
  });
});
