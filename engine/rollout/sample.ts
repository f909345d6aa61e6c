/**
 * From logits to one token: temperature, top-k, top-p, min-p in the order of Hugging Face's warpers, then inverse-CDF
 * sampling with one uniform number that depends on (seed, position) alone. Plain loops over host numbers, one row at a
 * time, so a row's outcome cannot depend on its neighbours. Log-probabilities and entropies are always of the policy's own
 * distribution: temperature 1, nothing cut off.
 */
import { UserError } from '../errors.ts';
import type { Sampling } from '../protocol.ts';
import { PURPOSE, uniform } from './rng.ts';

export type Warp = Pick<Sampling, 'temperature' | 'topK' | 'topP' | 'minP'>;
export type Choice = { readonly id: number; readonly logprob: number; readonly entropy: number };

/** Throws a UserError naming the first setting that makes no sense. */
export function checkSampling(sampling: Sampling): void {
  const rule = (ok: boolean, name: string, value: unknown, want: string): void => {
    if (!ok) throw new UserError(`sampling.${name} is ${String(value)}; give ${want}`);
  };
  rule(
    Number.isFinite(sampling.temperature) && sampling.temperature >= 0,
    'temperature',
    sampling.temperature,
    'a number of 0 (greedy) or more',
  );
  rule(
    Number.isInteger(sampling.topK) && sampling.topK >= 0,
    'topK',
    sampling.topK,
    'a whole number, 0 to keep every token',
  );
  rule(sampling.topP > 0 && sampling.topP <= 1, 'topP', sampling.topP, 'a number above 0 and up to 1');
  rule(sampling.minP >= 0 && sampling.minP < 1, 'minP', sampling.minP, 'a number from 0 to below 1');
  rule(
    Number.isInteger(sampling.maxTokens) && sampling.maxTokens >= 1,
    'maxTokens',
    sampling.maxTokens,
    'a whole number of 1 or more',
  );
  rule(Number.isInteger(sampling.seed), 'seed', sampling.seed, 'a whole number');
  rule(
    Array.isArray(sampling.stop) &&
      sampling.stop.every((s) => typeof s === 'string' && s.length > 0 && s.length <= 1000),
    'stop',
    JSON.stringify(sampling.stop)?.slice(0, 80),
    'a list of strings of 1 to 1,000 characters',
  );
}

/**
 * Probabilities after warping, for temperature > 0; what was cut off is 0.
 * logits: [vocab] -> [vocab], summing to 1. Ties at the k-th logit are all kept, as Hugging Face does.
 */
export function warpedProbabilities(logits: Float32Array, warp: Warp): Float64Array {
  const vocab = logits.length;
  const scaled = new Float64Array(vocab);
  for (let i = 0; i < vocab; i++) scaled[i] = logits[i] / warp.temperature;
  if (warp.topK > 0 && warp.topK < vocab) keepTopK(scaled, warp.topK);
  let probabilities = softmax(scaled);
  if (warp.topP < 1) {
    keepTopP(scaled, probabilities, warp.topP);
    probabilities = softmax(scaled);
  }
  if (warp.minP > 0) {
    const least = probabilities.reduce((a, b) => Math.max(a, b), 0) * warp.minP;
    for (let i = 0; i < vocab; i++) if (probabilities[i] < least) scaled[i] = -Infinity;
    probabilities = softmax(scaled);
  }
  return probabilities;
}

function softmax(scores: Float64Array): Float64Array {
  let max = -Infinity;
  for (let i = 0; i < scores.length; i++) if (scores[i] > max) max = scores[i];
  const out = new Float64Array(scores.length);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) sum += out[i] = Math.exp(scores[i] - max);
  for (let i = 0; i < scores.length; i++) out[i] /= sum;
  return out;
}

function keepTopK(scores: Float64Array, k: number): void {
  const threshold = scores.slice().sort()[scores.length - k];
  for (let i = 0; i < scores.length; i++) if (scores[i] < threshold) scores[i] = -Infinity;
}

/** Drops the least likely tokens while their joint probability stays at or below 1 - topP; the likeliest always stays. */
function keepTopP(scores: Float64Array, probabilities: Float64Array, topP: number): void {
  const order = Array.from({ length: scores.length }, (_, i) => i).filter((i) => probabilities[i] > 0);
  order.sort((a, b) => probabilities[a] - probabilities[b] || b - a);
  for (let i = 0; i < scores.length; i++) if (probabilities[i] === 0) scores[i] = -Infinity;
  let mass = 0;
  for (let rank = 0; rank < order.length - 1; rank++) {
    mass += probabilities[order[rank]];
    if (mass > 1 - topP) return;
    scores[order[rank]] = -Infinity;
  }
}

/** First index whose cumulative probability exceeds `u`; rounding at the end falls back to the last possible token. */
export function inverseCdf(probabilities: Float64Array, u: number): number {
  let mass = 0;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    if (probabilities[i] === 0) continue;
    mass += probabilities[i];
    last = i;
    if (mass > u) return i;
  }
  return last;
}

/**
 * One token of one row. `position` is the token's place in its sequence, prompt included.
 * logits: [vocab].
 */
export function chooseToken(logits: Float32Array, sampling: Sampling, position: number): Choice {
  const vocab = logits.length;
  let max = -Infinity;
  let best = 0;
  for (let i = 0; i < vocab; i++) {
    if (logits[i] > max) {
      max = logits[i];
      best = i;
    }
  }
  if (!Number.isFinite(max))
    throw new UserError(
      `The model gives no finite logits (largest is ${max}): its weights are damaged or training diverged; go back to an earlier checkpoint`,
    );
  let sum = 0;
  let weighted = 0;
  const plain = sampling.temperature === 1 && sampling.topK === 0 && sampling.topP === 1 && sampling.minP === 0;
  const weights = plain ? new Float64Array(vocab) : null;
  for (let i = 0; i < vocab; i++) {
    const shifted = logits[i] - max;
    const weight = Math.exp(shifted);
    sum += weight;
    weighted += weight * shifted;
    if (weights) weights[i] = weight;
  }
  const logSum = Math.log(sum);
  const id = pick(logits, sampling, position, best, weights, sum);
  return { id, logprob: logits[id] - max - logSum, entropy: logSum - weighted / sum };
}

function pick(
  logits: Float32Array,
  sampling: Sampling,
  position: number,
  best: number,
  weights: Float64Array | null,
  sum: number,
): number {
  if (sampling.temperature === 0) return best;
  const u = uniform(sampling.seed, position, PURPOSE.sample);
  // Untruncated weights need no second pass: compare against u times their sum.
  if (weights) return inverseCdf(weights, u * sum);
  return inverseCdf(warpedProbabilities(logits, sampling), u);
}
