/**
 * The decoder's fused operations where the active backend has them, else null: the caller then computes the same in plain
 * operations, which stay the reference. All are differentiable. On wasm each replaces five to fifteen passes over memory.
 */
import * as tf from '@tensorflow/tfjs';
import { FUSED } from './decoder-kernels.ts';

let enabled = true;

/** Turns the fused operations off, for tests and comparisons that want the plain ones. Returns what was set before. */
export function useFused(on: boolean): boolean {
  const before = enabled;
  enabled = on;
  return before;
}

export function fusedIsOn(): boolean {
  return enabled;
}

function present(kernelName: string): boolean {
  return enabled && tf.getKernel(kernelName, tf.getBackend()) !== undefined;
}

/** x / sqrt(mean(x²) + eps) · weight over the last axis, which must be a multiple of 4. x: [..., d], weight: [d]. */
export function fusedRmsNorm<T extends tf.Tensor>(x: T, weight: tf.Tensor, eps: number): T | null {
  if (x.shape.at(-1)! % 4 !== 0 || x.rank < 2 || !present(FUSED.rmsNorm)) return null;
  const [out] = tf.engine().runKernel(FUSED.rmsNorm, { x, weight }, { eps }) as tf.Tensor[];
  return out as T;
}

/** gate · sigmoid(gate) · up. Both [..., d], d a multiple of 4. */
export function fusedGated<T extends tf.Tensor>(gate: T, up: T): T | null {
  if (gate.shape.at(-1)! % 4 !== 0 || !present(FUSED.gated)) return null;
  return tf.engine().runKernel(FUSED.gated, { gate, up }, {}) as T;
}

/**
 * Softmax of scale · scores over the keys up to each query's own position; keys beyond get exactly 0, and no bit depends on
 * how many there are. scores: [..., queries, keys], query i of every block sees keys 0 … before + i.
 */
export function fusedCausalSoftmax<T extends tf.Tensor>(scores: T, scale: number, before = 0): T | null {
  if (!present(FUSED.causalSoftmax)) return null;
  return tf.engine().runKernel(FUSED.causalSoftmax, { x: scores }, { scale, before }) as T;
}

/**
 * Rotates every head, halves paired. x: [batch * positions, heads * headDim]; cos, sin: `positions` rows of headDim, equal in
 * both halves; headDim a multiple of 8. Differentiable in x.
 */
export function fusedRope<T extends tf.Tensor>(x: T, heads: number, cos: tf.Tensor, sin: tf.Tensor): T | null {
  if (cos.shape.at(-1)! % 8 !== 0 || !present(FUSED.rope)) return null;
  return tf.engine().runKernel(FUSED.rope, { x, cos, sin }, { heads, sign: 1 }) as T;
}
