/**
 * The losses of one token, before they are weighted and summed: clipped policy loss with dual clip and clipped value loss.
 * Each stands twice: over tensors for gradients, over plain numbers for the per-role metrics (and as the tests' second
 * opinion). Tensors are [n] response tokens.
 */
import * as tf from '@tensorflow/tfjs';
import type { Aggregation } from '../protocol.ts';

export const LOG_RATIO_LIMIT = 20;
/** Stands for "no upper bound" in float32 without being infinite: 0 * Infinity in a gradient would be NaN. */
const NO_CAP = 3e38;

export type ClipSettings = { readonly clip: number; readonly dualClip: number };

/**
 * L = max(-A rho, -A clip(rho, 1 - clip, 1 + clip)), and for A < 0 at most -dualClip A; rho = exp(clamp(logprob - old, ±20)).
 * A dual clip of 0 is off. advantages are plain numbers: they carry no gradient.
 * Source: Schulman et al. 2017, eq. 7; Ye et al. 2020 (dual clip), eq. 5.
 */
export function policyLoss(
  logprobs: tf.Tensor1D,
  old: tf.Tensor1D,
  advantages: Float32Array,
  { clip, dualClip }: ClipSettings,
): tf.Tensor1D {
  const ratio = tf.exp(tf.clipByValue(tf.sub(logprobs, old), -LOG_RATIO_LIMIT, LOG_RATIO_LIMIT));
  const negative = tf.tensor1d(advantages.map((a) => -a));
  const loss = tf.maximum(tf.mul(negative, ratio), tf.mul(negative, tf.clipByValue(ratio, 1 - clip, 1 + clip)));
  if (!(dualClip > 0)) return loss as tf.Tensor1D;
  return tf.minimum(loss, tf.tensor1d(advantages.map((a) => (a < 0 ? -dualClip * a : NO_CAP)))) as tf.Tensor1D;
}

/**
 * One token of `policyLoss` and whether the clip decided it: `clipped` as in verl, where the clipped side of the maximum is
 * the larger one; |rho - 1| > clip alone would also count tokens it leaves as they are.
 */
export function policyLossOf(logprob: number, old: number, advantage: number, { clip, dualClip }: ClipSettings) {
  const logratio = Math.min(LOG_RATIO_LIMIT, Math.max(-LOG_RATIO_LIMIT, logprob - old));
  const ratio = Math.exp(logratio);
  const bounded = Math.min(1 + clip, Math.max(1 - clip, ratio));
  const [plain, held] = [-advantage * ratio, -advantage * bounded];
  const loss = Math.max(plain, held);
  return {
    loss: dualClip > 0 && advantage < 0 ? Math.min(loss, -dualClip * advantage) : loss,
    logratio,
    ratio,
    clipped: held > plain,
  };
}

/**
 * 0.5 max((v - R)^2, (v_clipped - R)^2) with v_clipped = old + clamp(v - old, ±clip). A clip of 0 is off.
 * Source: verl's compute_value_loss; OpenAI baselines' PPO2.
 */
export function valueLoss(values: tf.Tensor1D, old: tf.Tensor1D, returns: Float32Array, clip: number): tf.Tensor1D {
  const target = tf.tensor1d(returns);
  const plain = tf.square(tf.sub(values, target));
  if (!(clip > 0)) return tf.mul(plain, 0.5) as tf.Tensor1D;
  const clipped = tf.add(old, tf.clipByValue(tf.sub(values, old), -clip, clip));
  return tf.mul(tf.maximum(plain, tf.square(tf.sub(clipped, target))), 0.5) as tf.Tensor1D;
}

/** One token of `valueLoss`. */
export function valueLossOf(value: number, old: number, target: number, clip: number): number {
  const plain = (value - target) ** 2;
  if (!(clip > 0)) return 0.5 * plain;
  const clipped = old + Math.min(clip, Math.max(-clip, value - old));
  return 0.5 * Math.max(plain, (clipped - target) ** 2);
}

/**
 * What each token's loss counts in the mini-batch's: the weighted sum is the aggregate, whatever micro-batches it is summed
 * in. responses: indices of the mini-batch's responses; starts: [all responses + 1]; writes into `weights` [n].
 */
export function fillTokenWeights(
  weights: Float32Array,
  responses: readonly number[],
  starts: Uint32Array,
  aggregation: Aggregation,
): void {
  const tokens = responses.reduce((sum, r) => sum + starts[r + 1] - starts[r], 0);
  for (const r of responses)
    weights.fill(
      tokenWeight(aggregation, tokens, responses.length, starts[r + 1] - starts[r]),
      starts[r],
      starts[r + 1],
    );
}

function tokenWeight(aggregation: Aggregation, tokens: number, responses: number, length: number): number {
  switch (aggregation) {
    case 'token-mean':
      return 1 / tokens;
    case 'seq-mean-token-mean':
      return 1 / (responses * length);
    case 'seq-mean-token-sum':
      return 1 / responses;
    default:
      return aggregation satisfies never;
  }
}
