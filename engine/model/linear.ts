/**
 * Linear layers and RMS norms over rows. Weights lie as Hugging Face stores them, [out, in]; a layer may carry a bias and
 * a low-rank addition. Everything is differentiable in every tensor given.
 */
import * as tf from '@tensorflow/tfjs';
import { fusedRmsNorm } from '../device/fused.ts';
import type { ForwardWeights, Weights } from './trunk.ts';

/** A weight by its Hugging Face name; its absence is a bug, since loading checks that every weight is there. */
export function weightOf(weights: Weights, name: string): tf.Tensor {
  const weight = weights[name];
  if (!weight) throw new Error(`no weight named ${name}`);
  return weight;
}

/**
 * x · Wᵀ + bias + scale · (x · Aᵀ) · Bᵀ.
 * x: [rows, in] -> [rows, out]. Source of the last term: Hu et al. 2021, "LoRA", eq. 3.
 */
export function linear(x: tf.Tensor2D, name: string, using: ForwardWeights): tf.Tensor2D {
  let y: tf.Tensor2D = tf.matMul(x, weightOf(using.weights, `${name}.weight`) as tf.Tensor2D, false, true);
  const bias = using.weights[`${name}.bias`];
  if (bias) y = tf.add(y, bias as tf.Tensor1D);
  const low = using.adapter?.layers[name];
  if (!low) return y;
  const inner = tf.matMul(x, low.a, false, true); // [rows, rank]
  return tf.add(y, tf.matMul(tf.mul(inner, using.adapter!.scale), low.b, false, true));
}

/** x / sqrt(mean(x²) + eps) · weight over the last axis. Source: Zhang & Sennrich 2019, eq. 4. */
export function rmsNorm<T extends tf.Tensor>(x: T, weight: tf.Tensor, eps: number): T {
  const fused = fusedRmsNorm(x, weight, eps);
  if (fused) return fused;
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps));
  return tf.mul(tf.mul(x, scale), weight) as T;
}
