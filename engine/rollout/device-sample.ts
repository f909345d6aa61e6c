/**
 * Draws one token per row without the logits leaving the device: greedy, or inverse-CDF with a uniform number that the
 * host derives from (seed, position). Log-prob and entropy are of the untempered distribution, as on the host.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { Sampling } from '../protocol.ts';
import { PURPOSE, uniform } from './rng.ts';

/** ids: [rows] int32 for the next step; numbers: id, log-prob, entropy. // [rows, 3] float32, exact for ids below 2^24 */
export type Draw = { readonly ids: tf.Tensor1D; readonly numbers: tf.Tensor2D };

export type RowSampling = { readonly sampling: Sampling; readonly position: number };

/** Tokens beyond this have no exact float32. */
export const ID_MAX = 2 ** 24;

/** logits: [rows, vocab]. Rows may not truncate (top-k, top-p, min-p) unless greedy. */
export function drawOnDevice(logits: tf.Tensor2D, rows: readonly RowSampling[]): Draw {
  const [count, vocab] = logits.shape;
  if (vocab > ID_MAX)
    throw new UserError(`The vocabulary of ${vocab} is too large to sample on a GPU; run the model on wasm`);
  return tf.tidy(() => {
    const shifted = tf.sub(logits, tf.max(logits, 1, true)); // [rows, vocab], at most 0
    const weights = tf.exp(shifted);
    const sums = tf.sum(weights, 1, true); // [rows, 1]
    const logSums = tf.log(sums);
    const entropy = tf.sub(logSums, tf.div(tf.sum(tf.mul(weights, shifted), 1, true), sums));
    const ids = chooseIds(logits, shifted, rows);
    const flat = tf.add(
      ids,
      tf.tensor1d(
        Int32Array.from({ length: count }, (_, row) => row * vocab),
        'int32',
      ),
    );
    const logprobs = tf.sub(tf.reshape(tf.gather(tf.reshape(shifted, [count * vocab]), flat), [count, 1]), logSums);
    const numbers = tf.concat2d(
      [tf.reshape(tf.cast(ids, 'float32'), [count, 1]), logprobs as tf.Tensor2D, entropy as tf.Tensor2D],
      1,
    );
    return { ids, numbers };
  });
}

/** [rows] int32 */
function chooseIds(logits: tf.Tensor2D, shifted: tf.Tensor, rows: readonly RowSampling[]): tf.Tensor1D {
  const greedy = rows.map(({ sampling }) => sampling.temperature === 0);
  const best = tf.argMax(logits, 1) as tf.Tensor1D;
  if (greedy.every(Boolean)) return best;
  const column = (values: readonly number[]): tf.Tensor2D => tf.tensor2d(values as number[], [rows.length, 1]);
  const sharpness = column(rows.map(({ sampling }, row) => (greedy[row] ? 1 : 1 / sampling.temperature)));
  const draws = column(rows.map(({ sampling, position }) => uniform(sampling.seed, position, PURPOSE.sample)));
  const mass = tf.cumsum(tf.exp(tf.mul(shifted, sharpness)), 1) as tf.Tensor2D; // [rows, vocab]
  const total = tf.slice2d(mass, [0, logits.shape[1] - 1], [-1, 1]);
  // The first index whose mass exceeds the draw is the count of those that do not.
  const below = tf.sum(tf.cast(tf.lessEqual(mass, tf.mul(draws, total)), 'int32'), 1);
  const sampled = tf.minimum(below, tf.scalar(logits.shape[1] - 1, 'int32')) as tf.Tensor1D;
  if (!greedy.some(Boolean)) return sampled;
  return tf.where(tf.tensor1d(greedy, 'bool'), best, sampled);
}
