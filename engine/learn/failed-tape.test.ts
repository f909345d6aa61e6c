/** A gradient that throws half-way leaves no tensor behind, and the next one works. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { openDevice } from '../device/open.ts';
import { freeingFailedTape } from './failed-tape.ts';

describe('freeingFailedTape', () => {
  it('frees what the tape kept when the loss throws', async () => {
    const device = await openDevice('wasm');
    const x = tf.randomNormal([8, 8], 0, 1, 'float32', 1) as tf.Tensor2D;
    const loss = (fails: boolean) => (): tf.Scalar => {
      const y = tf.matMul(tf.square(x), tf.exp(x));
      if (fails) throw new Error('no room');
      return tf.sum(y);
    };
    const gradient = (fails: boolean): number =>
      freeingFailedTape(() =>
        tf.tidy(() => tf.engine().gradients(loss(fails), [x], undefined, true).grads[0].dataSync()[0]),
      );
    const wanted = gradient(false);
    const before = tf.memory().numTensors;
    for (let i = 0; i < 3; i++) expect(() => gradient(true)).toThrow('no room');
    expect(tf.memory().numTensors).toBe(before);
    expect(gradient(false)).toBe(wanted);
    await device.close();
  });
});
