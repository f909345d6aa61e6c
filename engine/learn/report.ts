/**
 * What one update tells: metrics over all its tokens and for each role, and the per-token arrays of each record. It only
 * reads; names and meanings stand in docs/training.md.
 */
import type { PpoSettings, TokenArrays, UpdateReport } from '../protocol.ts';
import { groupOf, zeroSpreadShare } from './groups.ts';
import { klEstimate } from './kl.ts';
import { explainedVariance, meanAndStd, type Tally } from './metrics.ts';
import type { Seen, TokenInputs } from './ppo-step.ts';
import type { TrainRecord } from './records.ts';
import type { RoleGradients } from './role-gradients.ts';
import { membersOf } from './whiten.ts';

export type Finished = {
  readonly records: readonly TrainRecord[];
  readonly starts: Uint32Array;
  readonly inputs: TokenInputs;
  /** Of each token in the last pass over it. */
  readonly seen: Seen;
  readonly settings: PpoSettings;
  readonly tally: Tally;
  readonly gradNorms: readonly number[];
  /** null where they were not measured. */
  readonly roleGradients: RoleGradients | null;
  /** What the learning rates were multiplied by. */
  readonly factor: number;
  /** null where gradients are floats all the way. */
  readonly lossScale: number | null;
};

type Metrics = Record<string, number>;

export function reportOf(finished: Finished): Pick<UpdateReport, 'metrics' | 'roles' | 'tokens' | 'trainedTokens'> {
  const { records, starts, tally, settings, gradNorms, roleGradients, factor, lossScale } = finished;
  const all = records.map((_, r) => r);
  const finite = gradNorms.filter(Number.isFinite);
  const metrics: Metrics = {
    ...tally.all(),
    ...recordMetrics(finished, all),
    ...groupMetrics(finished),
    grad_norm: meanAndStd(finite).mean,
    lr: settings.lr * factor,
    ...(settings.valueCoef > 0 ? { critic_lr: settings.criticLr * factor } : {}),
    ...(lossScale === null ? {} : { loss_scale: lossScale }),
    'steps/skipped': gradNorms.length - finite.length,
    ...named('gradient/cosine/', roleGradients?.cosines ?? {}),
  };
  const roles: Record<string, Metrics> = {};
  for (const [role, members] of membersOf(records.map((record) => record.role)))
    roles[role] = {
      ...tally.role(role),
      ...recordMetrics(finished, members),
      ...(roleGradients?.norms[role] === undefined ? {} : { 'gradient/norm': roleGradients.norms[role] }),
      ...(roleGradients?.copies[role] === undefined ? {} : { 'gradient/copies': roleGradients.copies[role] }),
    };
  return { metrics, roles, tokens: all.map((r) => arraysOf(finished, r)), trainedTokens: starts[records.length] };
}

function named(prefix: string, numbers: Metrics): Metrics {
  return Object.fromEntries(Object.entries(numbers).map(([name, value]) => [`${prefix}${name}`, value]));
}

function recordMetrics({ records, starts, inputs, settings }: Finished, members: readonly number[]): Metrics {
  const tokens = members.flatMap((r) => Array.from({ length: starts[r + 1] - starts[r] }, (_, i) => starts[r] + i));
  const reward = meanAndStd(members.map((r) => records[r].reward));
  const advantage = meanAndStd(tokens.map((t) => inputs.advantages[t]));
  const mean = (of: (token: number) => number) => meanAndStd(tokens.map(of)).mean;
  const explained = usesValues(settings) ? explainedVariance(inputs.values, inputs.returns, tokens) : null;
  const { reference, oldLogprobs, behaviour } = inputs;
  return {
    records: members.length,
    tokens: tokens.length,
    'reward/mean': reward.mean,
    'reward/std': reward.std,
    'response/length': tokens.length / members.length,
    'advantages/mean': advantage.mean,
    'advantages/std': advantage.std,
    ...(explained === null ? {} : { 'losses/explained_variance': explained }),
    ...(settings.oldLogprobs === 'recompute'
      ? { 'rollout/logprob_gap': mean((t) => Math.abs(oldLogprobs[t] - behaviour[t])) }
      : {}),
    ...(reference
      ? { 'losses/reference_kl': mean((t) => klEstimate(oldLogprobs[t], reference[t], settings.kl.kind)) }
      : {}),
  };
}

function usesValues({ estimator, valueCoef }: PpoSettings): boolean {
  return estimator === 'gae' || valueCoef > 0;
}

function groupMetrics({ records, settings }: Finished): Metrics {
  if (settings.estimator === 'gae' || settings.estimator === 'reinforce') return {};
  const share = zeroSpreadShare(Float32Array.from(records, ({ reward }) => reward), records.map((record) => groupOf(record, settings.group))); // prettier-ignore
  return Number.isNaN(share) ? {} : { 'rollout/zero_spread_groups': share };
}

function arraysOf({ records, starts, inputs, seen }: Finished, r: number): TokenArrays {
  const cut = (flat: Float32Array) => flat.slice(starts[r], starts[r + 1]);
  return {
    record: records[r].record,
    oldLogprobs: cut(inputs.oldLogprobs),
    newLogprobs: cut(seen.logprobs),
    values: cut(inputs.values),
    advantages: cut(inputs.advantages),
    returns: cut(inputs.returns),
  };
}
