/**
 * The paired bootstrap: how far a mean difference between two arms could come from which questions and which seeds happened
 * to be taken. Both arms answered the same questions after training on the same seeds, so differences are taken question by
 * question and seed by seed, and whole questions and whole seeds are drawn again with replacement.
 */
import { generator } from '../random.ts';

export type Interval = { readonly mean: number; readonly low: number; readonly high: number };

export const RESAMPLES = 10_000;

/**
 * Mean of differences [seeds][questions] and its 95 % interval (percentile method; Efron and Tibshirani 1993, ch. 13).
 * Every seed must have the same questions. The result is a function of the numbers and `seed`.
 */
export function pairedBootstrap(
  differences: readonly (readonly number[])[],
  resamples = RESAMPLES,
  seed = 0,
): Interval {
  const [seeds, questions] = [differences.length, differences[0].length];
  const flat = Float64Array.from(differences.flat());
  const random = generator(seed);
  const drawnSeeds = new Uint32Array(seeds);
  const means = new Float64Array(resamples);
  for (let b = 0; b < resamples; b++) {
    for (let s = 0; s < seeds; s++) drawnSeeds[s] = Math.floor(random() * seeds) * questions;
    let sum = 0;
    for (let q = 0; q < questions; q++) {
      const question = Math.floor(random() * questions);
      for (let s = 0; s < seeds; s++) sum += flat[drawnSeeds[s] + question];
    }
    means[b] = sum / (seeds * questions);
  }
  means.sort();
  const mean = flat.reduce((a, b) => a + b, 0) / flat.length;
  return { mean, low: quantile(means, 0.025), high: quantile(means, 0.975) };
}

/** Of sorted numbers, interpolated between neighbours. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
