/**
 * Scaled dot-product attention with grouped queries, over whole right-padded sequences and over a cache. Query heads of a
 * group lie next to each other, so a group's queries stand as extra rows against one key-value head: nothing is repeated.
 * Masked scores are -1e30, whose exponential is exactly 0, so padding leaves no trace in any bit.
 * Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 (grouped queries).
 */
import * as tf from '@tensorflow/tfjs';
import { fusedCausalSoftmax } from '../device/fused.ts';

export type HeadShape = { readonly heads: number; readonly kvHeads: number; readonly headDim: number };

const MASKED = -1e30; // not -Infinity: WGSL may assume there is none

/** 0 where a query may look, -1e30 where the key comes later. // [1, length, length] */
export function causalMask(length: number): tf.Tensor3D {
  const values = new Float32Array(length * length);
  for (let query = 0; query < length; query++) values.fill(MASKED, query * length + query + 1, (query + 1) * length);
  return tf.tensor3d(values, [1, length, length]);
}

/** 0 for positions up to and including `last[row]`, -1e30 beyond. // [rows, 1, capacity] */
export function cacheMask(last: Int32Array, capacity: number): tf.Tensor3D {
  const values = new Float32Array(last.length * capacity);
  for (let row = 0; row < last.length; row++) values.fill(MASKED, row * capacity + last[row] + 1, (row + 1) * capacity);
  return tf.tensor3d(values, [last.length, 1, capacity]);
}

/** [batch * length, heads * headDim] -> [batch * heads, length, headDim] */
export function splitHeads(x: tf.Tensor2D, batch: number, heads: number): tf.Tensor3D {
  const length = x.shape[0] / batch;
  const headDim = x.shape[1] / heads;
  if (heads === 1) return tf.reshape(x, [batch, length, headDim]);
  const moved = tf.transpose(tf.reshape(x, [batch, length, heads, headDim]), [0, 2, 1, 3]);
  return tf.reshape(moved, [batch * heads, length, headDim]);
}

export type Softmax = (scores: tf.Tensor3D) => tf.Tensor3D;

/**
 * Every token attends to itself and those before it. Differentiable in q, k and v with tf.softmax; with `exactSoftmax` the
 * result does not depend on the padding.
 * q: [batch * heads, length, headDim], k and v: [batch * kvHeads, length, headDim] -> [batch * length, heads * headDim]
 */
export function causalAttention(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  batch: number,
  shape: HeadShape,
  mask: tf.Tensor3D,
  softmax: Softmax,
): tf.Tensor2D {
  const { heads, kvHeads, headDim } = shape;
  const length = q.shape[1];
  const groupRows = (heads / kvHeads) * length;
  const scale = headDim ** -0.5;
  const grouped = tf.reshape(q, [batch * kvHeads, groupRows, headDim]);
  const scores = tf.reshape(tf.matMul(grouped, k, false, true), [batch * heads, length, length]);
  const weights = fusedCausalSoftmax(scores, scale) ?? softmax(tf.add(tf.mul(scores, scale), mask));
  const probabilities = tf.reshape(weights, [batch * kvHeads, groupRows, length]);
  const mixed = tf.matMul(probabilities, v); // [batch * kvHeads, groupRows, headDim]
  if (heads === 1) return tf.reshape(mixed, [batch * length, headDim]);
  const moved = tf.transpose(tf.reshape(mixed, [batch, heads, length, headDim]), [0, 2, 1, 3]);
  return tf.reshape(moved, [batch * length, heads * headDim]);
}

/**
 * One new token of every slot attends to its cached positions.
 * q: [slots, heads * headDim], k and v: [slots * kvHeads, capacity, headDim], mask: [slots * kvHeads | slots, 1, capacity] -> [slots, heads * headDim]
 */
export function cachedAttention(
  q: tf.Tensor2D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  shape: HeadShape,
  mask: tf.Tensor3D,
): tf.Tensor2D {
  const { heads, kvHeads, headDim } = shape;
  const slots = q.shape[0];
  const capacity = k.shape[1];
  const grouped = tf.reshape(tf.mul(q, headDim ** -0.5), [slots * kvHeads, heads / kvHeads, headDim]);
  const scores = tf.reshape(tf.matMul(grouped, k, false, true), [slots, heads, capacity]);
  const probabilities = tf.reshape(exactSoftmax(tf.add(scores, mask)), [slots * kvHeads, heads / kvHeads, capacity]);
  return tf.reshape(tf.matMul(probabilities, v), [slots, heads * headDim]);
}

/**
 * Softmax over the last axis whose sum runs through the matrix product, strictly from left to right, so that masked
 * positions at the end change no bit of the result however many there are. On WebGPU, where products promise no order,
 * it is the ordinary softmax. Not differentiable.
 */
export function exactSoftmax(scores: tf.Tensor3D): tf.Tensor3D {
  if (tf.getBackend() === 'webgpu') return tf.softmax(scores);
  const length = scores.shape[2];
  const weights = tf.exp(tf.sub(scores, tf.max(scores, -1, true)));
  const sums = tf.matMul(tf.reshape(weights, [-1, length]), tf.ones([length, 1]));
  return tf.div(weights, tf.reshape(sums, [scores.shape[0], scores.shape[1], 1]));
}
