/**
 * Advantages from the rewards of a group of responses instead of from a critic: one number a response, the same on all its
 * tokens. What a group is (usually the samples of one query, of one role, at one turn) is the caller's choice.
 */
import type { GroupScope } from '../protocol.ts';
import type { TrainRecord } from './records.ts';
import { membersOf } from './whiten.ts';

export type GroupEstimator = 'grpo' | 'dr-grpo' | 'rloo';

const EPSILON = 1e-6;

/**
 * The group's name for a record. With `role` a role's answers are measured against its own mean and spread (Dr. MAS, arXiv
 * 2602.08847), with `role+turn` also apart by turn (AT-GRPO, arXiv 2510.11062); `prefix` takes only answers to the very same
 * prompt, whose leave-one-out baseline is C3's (arXiv 2603.06859).
 */
export function groupOf(
  { group, role, turn, promptIds }: Pick<TrainRecord, 'group' | 'role' | 'turn' | 'promptIds'>,
  scope: GroupScope,
): string {
  switch (scope) {
    case 'query':
      return group;
    case 'role':
      return JSON.stringify([group, role]);
    case 'role+turn':
      return JSON.stringify([group, role, turn]);
    case 'prefix':
      return JSON.stringify([group, role, turn, ...Array.from(promptIds)]);
    default:
      return scope satisfies never;
  }
}

/**
 * scores, groups: [responses]. A group of one has nothing to be compared with and keeps its score.
 * - grpo: (s - mean) / (std + 1e-6), unbiased std (Shao et al., arXiv 2402.03300)
 * - dr-grpo: s - mean (Liu et al., arXiv 2503.20783)
 * - rloo: s - mean of the others (Ahmadian et al., arXiv 2402.14740)
 */
export function groupAdvantages(
  scores: Float32Array,
  groups: readonly string[],
  estimator: GroupEstimator,
): Float32Array {
  const out = scores.slice();
  for (const members of membersOf(groups).values()) {
    const n = members.length;
    if (n < 2) continue;
    const mean = members.reduce((sum, i) => sum + scores[i], 0) / n;
    const std = Math.sqrt(members.reduce((sum, i) => sum + (scores[i] - mean) ** 2, 0) / (n - 1));
    for (const i of members) out[i] = fromGroup(scores[i] - mean, std, n, estimator);
  }
  return out;
}

function fromGroup(deviation: number, std: number, n: number, estimator: GroupEstimator): number {
  switch (estimator) {
    case 'grpo':
      return deviation / (std + EPSILON);
    case 'dr-grpo':
      return deviation;
    case 'rloo':
      return (deviation * n) / (n - 1);
    default:
      return estimator satisfies never;
  }
}

/** Share of groups of at least two responses whose scores are all equal: they teach nothing. NaN where there is no such group. */
export function zeroSpreadShare(scores: Float32Array, groups: readonly string[]): number {
  const several = [...membersOf(groups).values()].filter((members) => members.length > 1);
  const flat = several.filter((members) => members.every((i) => scores[i] === scores[members[0]]));
  return flat.length / several.length;
}
