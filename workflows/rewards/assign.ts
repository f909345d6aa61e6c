/**
 * Gives every trained record of a finished trace its rewards: each rule's value for the records it names, and the format
 * term, -1 times its weight for an illegal output. A record's reward is the sum; all terms are kept so that a screen can say
 * where a number comes from. Outcome rewards may be given in full or split, as UnityMAS-O (arXiv 2605.26646) has it.
 */
import type { Cast } from '../schema/cast.ts';
import type { RewardRule } from '../schema/reward.ts';
import type { AssignedReward, Trace, TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import { needsGolds, ruleValue, type Computed } from './value.ts';

/** The trace with rewards on its trained records; a dropped one gets none. Throws a UserError naming a rule that cannot be computed. */
export function assignRewards(
  workflow: Pick<Workflow, 'rewards'>,
  cast: Pick<Cast, 'policies'>,
  trace: Trace,
  computed: Computed = notComputed,
): Trace {
  const cleared = trace.records.map((record): TraceRecord => {
    const { reward: _, ...rest } = record;
    return { ...rest, rewards: [] };
  });
  if (trace.status === 'dropped') return { ...trace, records: cleared };
  const given = new Map<string, AssignedReward[]>();
  for (const record of cleared) if (isTrained(record, cast)) given.set(record.id, []);
  for (const rule of workflow.rewards.rules)
    if (trace.query.answers.length > 0 || !needsGolds(rule, trace)) applyRule(rule, trace, given, computed);
  const records = cleared.map((record): TraceRecord => {
    const rewards = given.get(record.id);
    if (rewards === undefined) return record;
    const all = [...rewards, formatTerm(record, workflow.rewards.formatWeight)];
    return { ...record, rewards: all, reward: all.reduce((sum, each) => sum + each.value, 0) };
  });
  return { ...trace, records };
}

function notComputed({ id }: RewardRule): never {
  throw new Error(`the reward ${id} is settled in the sandbox first`);
}

export function isTrained(record: TraceRecord, cast: Pick<Cast, 'policies'>): boolean {
  return record.kind === 'role' && record.policy !== undefined && cast.policies[record.policy]?.frozen === false;
}

function formatTerm(record: TraceRecord, weight: number): AssignedReward {
  const format = record.legal === false ? -1 : 0;
  return { level: 'role', rule: 'format', value: format === 0 ? 0 : format * weight, terms: { format, weight } };
}

function applyRule(rule: RewardRule, trace: Trace, given: Map<string, AssignedReward[]>, computed: Computed): void {
  const receivers = trace.records.filter((record) => given.has(record.id) && receives(rule, record));
  const once = rule.level === 'trajectory' && receivers.length > 0 ? ruleValue(rule, trace, null, computed) : null;
  const share = rule.level === 'trajectory' && rule.share === 'split' ? 1 / receivers.length : 1;
  for (const record of receivers) {
    const found = once ?? ruleValue(rule, trace, record, computed);
    if (found === null) {
      given.delete(record.id);
      continue;
    }
    const terms: Record<string, number> = { ...found.terms, weight: rule.weight };
    if (share !== 1) terms['share'] = share;
    given.get(record.id)!.push({ level: rule.level, rule: rule.id, value: found.value * rule.weight * share, terms });
  }
}

/** Whether a rule speaks of a record. */
export function receives(rule: RewardRule, record: Pick<TraceRecord, 'role' | 'turn'>): boolean {
  if (rule.roles !== undefined && !rule.roles.includes(record.role ?? '')) return false;
  return rule.level !== 'turn' || rule.turn === undefined || rule.turn === record.turn;
}
