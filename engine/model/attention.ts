/**
 * Scaled dot-product attention with grouped queries, over whole right-padded sequences and over a cache. Query heads of a
 * group lie next to each other, so a group's queries stand as extra rows against one key-value head: nothing is repeated.
 * Masked scores are -1e30, whose exponential is exactly 0, so padding leaves no trace in any bit.
 * Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023 (grouped queries).
 */
import * as tf from '@tensorflow/tfjs';
import { fusedCausalSoftmax } from '../device/fused.ts';
import type { RowLayout } from './row-layout.ts';

export type HeadShape = { readonly heads: number; readonly kvHeads: number; readonly headDim: number };

const MASKED = -1e30; // not -Infinity: WGSL may assume there is none

/** 0 where a query may look, -1e30 where the key comes later; query 0 comes after `before` keys. // [1, length, before + length] */
function causalMask(length: number, before: number): tf.Tensor3D {
  const keys = before + length;
  const values = new Float32Array(length * keys);
  for (let query = 0; query < length; query++)
    values.fill(MASKED, query * keys + before + query + 1, (query + 1) * keys);
  return tf.tensor3d(values, [1, length, keys]);
}

export type CausalMasks = { readonly shared: tf.Tensor3D | null; readonly own: tf.Tensor3D };

/** The masks of both kinds of rows; made once for all layers. */
export function causalMasks({ shared, length }: RowLayout): CausalMasks {
  return { shared: shared > 0 ? causalMask(shared, 0) : null, own: causalMask(length, shared) };
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

/** The inverse: [batch * heads, length, headDim] -> [batch * length, heads * headDim] */
export function mergeHeads(x: tf.Tensor3D, batch: number): tf.Tensor2D {
  const [rows, length, headDim] = x.shape;
  const heads = rows / batch;
  if (heads === 1) return tf.reshape(x, [batch * length, headDim]);
  const moved = tf.transpose(tf.reshape(x, [batch, heads, length, headDim]), [0, 2, 1, 3]);
  return tf.reshape(moved, [batch * length, heads * headDim]);
}

/** Rows by head: those of the shared prefix, [heads, shared, headDim], and those of every sequence, [batch * heads, length, headDim]. */
export type HeadRows = { readonly shared: tf.Tensor3D | null; readonly own: tf.Tensor3D };

/** x: [rows, heads * headDim] */
export function headRows(x: tf.Tensor2D, { shared, batch }: RowLayout, heads: number): HeadRows {
  if (shared === 0) return { shared: null, own: splitHeads(x, batch, heads) };
  const [first, rest] = tf.split(x, [shared, x.shape[0] - shared]) as tf.Tensor2D[];
  return { shared: splitHeads(first, 1, heads), own: splitHeads(rest, batch, heads) };
}

/** The inverse of `headRows`. // [rows, heads * headDim] */
export function rowsOfHeads({ shared, own }: HeadRows, { batch }: RowLayout): tf.Tensor2D {
  const rest = mergeHeads(own, batch);
  return shared ? tf.concat2d([mergeHeads(shared, 1), rest], 0) : rest;
}

/** What queries look at: the shared rows those of the prefix, [heads, shared, headDim], and a sequence's both, [batch * heads, shared + length, headDim]. */
export type SeenRows = { readonly shared: tf.Tensor3D | null; readonly all: tf.Tensor3D };

/** Keys or values by head. x: [rows, heads * headDim] */
export function seenRows(x: tf.Tensor2D, layout: RowLayout, heads: number): SeenRows {
  const { shared, own } = headRows(x, layout, heads);
  return { shared, all: shared ? tf.concat3d([tf.tile(shared, [layout.batch, 1, 1]), own], 1) : own };
}

export type Softmax = (scores: tf.Tensor3D) => tf.Tensor3D;

/**
 * Every token attends to itself and those before it. Differentiable in q, k and v with tf.softmax; with `exactSoftmax` the
 * result does not depend on the padding. // [rows, heads * headDim]
 */
export function causalAttention(
  q: HeadRows,
  k: SeenRows,
  v: SeenRows,
  layout: RowLayout,
  masks: CausalMasks,
  softmax: Softmax,
): tf.Tensor2D {
  const own = attend(q.own, k.all, v.all, masks.own, layout.shared, softmax);
  const shared = q.shared ? attend(q.shared, k.shared!, v.shared!, masks.shared!, 0, softmax) : null;
  return rowsOfHeads({ shared, own }, layout);
}

/** q: [batch * heads, length, headDim], k and v: [batch * kvHeads, before + length, headDim] -> like q */
function attend(
  q: tf.Tensor3D,
  k: tf.Tensor3D,
  v: tf.Tensor3D,
  mask: tf.Tensor3D,
  before: number,
  softmax: Softmax,
): tf.Tensor3D {
  const [rows, length, headDim] = q.shape;
  const [kvRows, keys] = k.shape;
  const scale = headDim ** -0.5;
  const grouped = tf.reshape(q, [kvRows, (rows / kvRows) * length, headDim]);
  const scores = tf.reshape(tf.matMul(grouped, k, false, true), [rows, length, keys]);
  const weights = fusedCausalSoftmax(scores, scale, before) ?? softmax(tf.add(tf.mul(scores, scale), mask));
  return tf.reshape(tf.matMul(tf.reshape(weights, [kvRows, -1, keys]), v), q.shape);
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
