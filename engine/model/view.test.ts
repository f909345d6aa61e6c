/** Cuts of a flat variable: they follow it where they borrow, and never free or damage it. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { openDevice } from '../device/open.ts';
import { hostView } from '../learn/host.ts';
import { cutView } from './view.ts';

describe.each(['wasm', 'cpu'] as const)('cuts on %s', (kind) => {
  it('borrow the flat memory, follow in-place writes, and leave it when disposed', async () => {
    const device = await openDevice(kind);
    const before = tf.memory();
    const flat = tf.variable(tf.tensor1d(Float32Array.from({ length: 12 }, (_, i) => i)));
    const cut = cutView(flat, 3, [2, 3]);
    expect([...cut.dataSync()]).toEqual([3, 4, 5, 6, 7, 8]);
    hostView(flat)![4] = 40;
    expect([...cut.dataSync()]).toEqual([3, 40, 5, 6, 7, 8]);
    const product = tf.tidy(() => tf.matMul(cutView(flat, 3, [2, 3]) as tf.Tensor2D, tf.reshape(cut, [3, 2])));
    expect([...product.dataSync()]).toEqual([
      3 * 3 + 40 * 5 + 5 * 7,
      3 * 40 + 40 * 6 + 5 * 8,
      6 * 3 + 7 * 5 + 8 * 7,
      6 * 40 + 7 * 6 + 8 * 8,
    ]);
    for (let i = 0; i < 50; i++) cutView(flat, i % 6, [6]).dispose();
    tf.dispose([cut, product]);
    const reused = Array.from({ length: 20 }, () => tf.fill([12], 7)); // would land in memory freed by mistake
    expect([...flat.dataSync()]).toEqual([0, 1, 2, 3, 40, 5, 6, 7, 8, 9, 10, 11]);
    tf.dispose(reused);
    flat.dispose();
    expect(tf.memory().numBytes - before.numBytes).toBe(48); // the variable's first value, made above
    await device.close();
  });
});
