/** The chunked head against a plain softmax over all logits, forward and backward, on odd shapes and every chunk size. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { chosenLogprobs, type HeadOptions } from './head.ts';

const ids = Int32Array.of(0, 12, 3, 3, 6, 11, 1);
const [n, d, vocab] = [ids.length, 5, 13];

function plain(hidden: tf.Tensor2D, weight: tf.Tensor2D): tf.Tensor2D {
  const logp = tf.logSoftmax(tf.matMul(hidden, weight, false, true));
  const chosen = tf.sum(tf.mul(logp, tf.oneHot(tf.tensor1d(ids, 'int32'), vocab).toFloat()), 1);
  return tf.stack([chosen, tf.neg(tf.sum(tf.mul(tf.exp(logp), logp), 1))], 1) as tf.Tensor2D;
}

function ours(hidden: tf.Tensor2D, weight: tf.Tensor2D, options: HeadOptions): tf.Tensor2D {
  const { logprobs, entropy } = chosenLogprobs(hidden, weight, ids, options);
  return tf.stack([logprobs, entropy], 1) as tf.Tensor2D;
}

const gap = (a: tf.Tensor, b: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);

describe.each(['wasm', 'cpu'] as const)('head on %s', (kind) => {
  let device: Device;
  let hidden: tf.Tensor2D;
  let weight: tf.Tensor2D;
  let pull: tf.Tensor2D; // dL/d(logprob, entropy)
  beforeAll(async () => {
    device = await openDevice(kind);
    hidden = tf.randomNormal([n, d], 0, 2, 'float32', 1);
    weight = tf.randomNormal([vocab, d], 0, 2, 'float32', 2);
    pull = tf.randomNormal([n, 2], 0, 1, 'float32', 3);
  });
  afterAll(async () => {
    tf.dispose([hidden, weight, pull]);
    await device.close();
  });

  it.each([1, 2, 3, 7, 100])('%i rows a chunk: scores and gradients, and nothing left behind', (rows) => {
    const options: HeadOptions = { entropyGradient: true, trainHead: true, chunkBytes: rows * vocab * 4 };
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      expect(gap(ours(hidden, weight, options), plain(hidden, weight))).toBeLessThan(1e-5);
      const gradsOf = (f: (h: tf.Tensor2D, w: tf.Tensor2D) => tf.Tensor) =>
        tf.grads((h, w) => tf.sum(tf.mul(f(h as tf.Tensor2D, w as tf.Tensor2D), pull)))([hidden, weight]);
      const [dh, dw] = gradsOf((h, w) => ours(h, w, options));
      const [eh, ew] = gradsOf(plain);
      expect(gap(dh, eh)).toBeLessThan(1e-4);
      expect(gap(dw, ew)).toBeLessThan(1e-4);
    });
    expect(tf.memory().numTensors).toBe(before);
  });

  it('agrees with finite differences', () => {
    const loss = (h: tf.Tensor2D) => tf.sum(tf.mul(ours(h, weight, { entropyGradient: true, trainHead: false }), pull));
    const gradient = tf.tidy(() =>
      tf
        .grad((h) => loss(h as tf.Tensor2D))(hidden)
        .arraySync(),
    ) as number[][];
    const at = (row: number, column: number, by: number) =>
      tf.tidy(
        () =>
          loss(
            tf.add(
              hidden,
              tf
                .buffer(
                  [n, d],
                  'float32',
                  Float32Array.from({ length: n * d }, (_, i) => (i === row * d + column ? by : 0)),
                )
                .toTensor(),
            ),
          ).dataSync()[0],
      );
    for (const [row, column] of [
      [0, 0],
      [3, 4],
      [6, 2],
    ])
      // prettier-ignore
      expect((at(row, column, 1e-2) - at(row, column, -1e-2)) / 2e-2).toBeCloseTo(gradient[row][column], 1);
  });

  it('gives the entropy no gradient and the head none unless asked', () => {
    tf.tidy(() => {
      const options: HeadOptions = { entropyGradient: false, trainHead: false };
      const entropyOnly = tf.grad((h) => tf.sum(chosenLogprobs(h as tf.Tensor2D, weight, ids, options).entropy))(
        hidden,
      );
      expect(gap(entropyOnly, tf.zerosLike(hidden))).toBe(0);
      const { grads } = tf
        .engine()
        .gradients(() => tf.sum(chosenLogprobs(hidden, weight, ids, options).logprobs), [weight], undefined, true);
      expect(grads[0] ?? null).toBeNull();
    });
  });

  it('stays finite for logits far apart', () => {
    const { logprobs, entropy } = tf.tidy(
      () =>
        chosenLogprobs(tf.mul(hidden, 1e3), weight, ids, {
          entropyGradient: true,
          trainHead: false,
        }) as unknown as tf.NamedTensorMap,
    );
    for (const x of [logprobs, entropy]) expect(x.dataSync().every(Number.isFinite)).toBe(true);
    tf.dispose([logprobs, entropy]);
  });
});
