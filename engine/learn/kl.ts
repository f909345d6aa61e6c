/**
 * Sampled estimates of KL(policy || reference) per token, from the two log-probs of the sampled token. k1 is unbiased and
 * noisy, k2 biased with low variance, k3 unbiased and never negative. Source: Schulman, "Approximating KL divergence", 2020.
 */
import * as tf from '@tensorflow/tfjs';

export type KlKind = 'k1' | 'k2' | 'k3';

/** k1: d; k2: d^2 / 2; k3: exp(-d) - 1 + d, where d = logprob - reference; d is held within ±20 in the exponent, as in the ratio. */
export function klEstimate(logprob: number, reference: number, kind: KlKind): number {
  const d = logprob - reference;
  switch (kind) {
    case 'k1':
      return d;
    case 'k2':
      return 0.5 * d * d;
    case 'k3':
      return Math.exp(Math.min(20, Math.max(-20, -d))) - 1 + d;
    default:
      return kind satisfies never;
  }
}

/** The same, differentiable in `logprobs`. Both [n]. // [n] */
export function klTensor(logprobs: tf.Tensor1D, reference: tf.Tensor1D, kind: KlKind): tf.Tensor1D {
  const d = tf.sub(logprobs, reference) as tf.Tensor1D;
  switch (kind) {
    case 'k1':
      return d;
    case 'k2':
      return tf.mul(tf.square(d), 0.5);
    case 'k3':
      return tf.add(tf.sub(tf.exp(tf.clipByValue(tf.neg(d), -20, 20)), 1), d);
    default:
      return kind satisfies never;
  }
}
