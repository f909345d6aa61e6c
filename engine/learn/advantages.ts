/**
 * From settled rewards to what the losses weigh each token by: rewards laid on tokens, the estimator's advantages and
 * returns, then whitening. Plain arithmetic over flat arrays; no tensors.
 */
import type { PpoSettings } from '../protocol.ts';
import { gae, rewardToGo, type Advantages } from './gae.ts';
import { groupAdvantages, groupOf } from './groups.ts';
import { klEstimate } from './kl.ts';
import type { TrainRecord } from './records.ts';
import { membersOf, scopeOf, whiten } from './whiten.ts';

/** What is known of each token before the update, flat [n]. */
export type Known = {
  readonly starts: Uint32Array;
  readonly oldLogprobs: Float32Array;
  readonly values: Float32Array;
  /** Reference log-probs; null where no KL is asked for. */
  readonly reference: Float32Array | null;
};

/** Advantages after whitening, and returns (taken before it). */
export function advantagesOf(records: readonly TrainRecord[], known: Known, settings: PpoSettings): Advantages {
  const rewards = tokenRewards(records, known, settings);
  const { advantages, returns } = estimate(records, rewards, known, settings);
  if (settings.whiten === 'none') return { advantages, returns };
  const scopes = records.map((record) => scopeOf(record, settings.whiten));
  return { advantages: whiten(advantages, known.starts, scopes), returns };
}

/** The record's reward on its last token; less coef · KL on every token where the KL is part of the reward. */
function tokenRewards(
  records: readonly TrainRecord[],
  { starts, oldLogprobs, reference }: Known,
  { kl }: PpoSettings,
): Float32Array {
  const rewards = new Float32Array(starts[records.length]);
  if (kl.place === 'reward' && reference)
    for (let t = 0; t < rewards.length; t++) rewards[t] = -kl.coef * klEstimate(oldLogprobs[t], reference[t], kl.kind);
  records.forEach(({ reward }, r) => (rewards[starts[r + 1] - 1] += reward));
  return rewards;
}

function estimate(
  records: readonly TrainRecord[],
  rewards: Float32Array,
  { starts, values }: Known,
  settings: PpoSettings,
): Advantages {
  switch (settings.estimator) {
    case 'gae':
      return gae(rewards, values, starts, settings.gamma, settings.lambda);
    case 'reinforce': {
      const returns = rewardToGo(rewards, starts, settings.gamma);
      const baselines = meansWithin(
        sumsOf(rewards, starts),
        records.map((record) => scopeOf(record, settings.whiten)),
      );
      return { advantages: minusPerResponse(returns, baselines, starts), returns };
    }
    case 'grpo':
    case 'dr-grpo':
    case 'rloo': {
      const perResponse = groupAdvantages(
        sumsOf(rewards, starts),
        records.map((record) => groupOf(record, settings.group)),
        settings.estimator,
      );
      const advantages = new Float32Array(rewards.length);
      perResponse.forEach((a, r) => advantages.fill(a, starts[r], starts[r + 1]));
      return { advantages, returns: rewardToGo(rewards, starts, settings.gamma) };
    }
    default:
      return settings.estimator satisfies never;
  }
}

/** Sum of each response's token rewards. // [responses] */
function sumsOf(rewards: Float32Array, starts: Uint32Array): Float32Array {
  return Float32Array.from({ length: starts.length - 1 }, (_, r) =>
    rewards.subarray(starts[r], starts[r + 1]).reduce((sum, x) => sum + x, 0),
  );
}

/** Each entry's mean over its group: the baseline of REINFORCE (Williams 1992). */
function meansWithin(scores: Float32Array, groups: readonly string[]): Float32Array {
  const means = new Float32Array(scores.length);
  for (const members of membersOf(groups).values()) {
    const mean = members.reduce((sum, i) => sum + scores[i], 0) / members.length;
    for (const i of members) means[i] = mean;
  }
  return means;
}

function minusPerResponse(tokens: Float32Array, perResponse: Float32Array, starts: Uint32Array): Float32Array {
  const out = tokens.slice();
  perResponse.forEach((x, r) => {
    for (let t = starts[r]; t < starts[r + 1]; t++) out[t] -= x;
  });
  return out;
}
