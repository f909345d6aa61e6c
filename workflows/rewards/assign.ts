/**
 * Gives every trained record of a finished trace its rewards: each rule's value for the records it names, and the format
 * term, -1 times its weight for an illegal output. A record's reward is the sum; all terms are kept so that a screen can say
 * where a number comes from. Outcome rewards may be given in full or split, as UnityMAS-O (arXiv 2605.26646) has it.
 */
import { UserError } from '../../engine/errors.ts';
import { evaluateCel } from '../run/cel.ts';
import type { Cast } from '../schema/cast.ts';
import type { RewardRule } from '../schema/reward.ts';
import type { AssignedReward, Trace, TraceRecord } from '../schema/trace.ts';
import type { Json } from '../schema/value.ts';
import type { Workflow } from '../schema/workflow.ts';

/** The trace with rewards on its trained records; a dropped one gets none. Throws a UserError naming a rule that cannot be computed. */
export function assignRewards(workflow: Pick<Workflow, 'rewards'>, cast: Pick<Cast, 'policies'>, trace: Trace): Trace {
  const cleared = trace.records.map((record): TraceRecord => {
    const { reward: _, ...rest } = record;
    return { ...rest, rewards: [] };
  });
  if (trace.status === 'dropped') return { ...trace, records: cleared };
  const given = new Map<string, AssignedReward[]>();
  for (const record of cleared) if (isTrained(record, cast)) given.set(record.id, []);
  if (trace.query.answers.length > 0) for (const rule of workflow.rewards.rules) applyRule(rule, trace, given);
  const records = cleared.map((record): TraceRecord => {
    const rewards = given.get(record.id);
    if (rewards === undefined) return record;
    const all = [...rewards, formatTerm(record, workflow.rewards.formatWeight)];
    return { ...record, rewards: all, reward: all.reduce((sum, each) => sum + each.value, 0) };
  });
  return { ...trace, records };
}

function isTrained(record: TraceRecord, cast: Pick<Cast, 'policies'>): boolean {
  return record.kind === 'role' && record.policy !== undefined && cast.policies[record.policy]?.frozen === false;
}

function formatTerm(record: TraceRecord, weight: number): AssignedReward {
  const format = record.legal === false ? -1 : 0;
  return { level: 'role', rule: 'format', value: format === 0 ? 0 : format * weight, terms: { format, weight } };
}

function applyRule(rule: RewardRule, trace: Trace, given: ReadonlyMap<string, AssignedReward[]>): void {
  const receivers = trace.records.filter((record) => given.has(record.id) && receives(rule, record));
  const once = rule.level === 'trajectory' && receivers.length > 0 ? raw(rule, trace, null) : null;
  const share = rule.level === 'trajectory' && rule.share === 'split' ? 1 / receivers.length : 1;
  for (const record of receivers) {
    const { name, value } = once ?? raw(rule, trace, record);
    const terms: Record<string, number> = { [name]: value, weight: rule.weight };
    if (share !== 1) terms['share'] = share;
    given.get(record.id)!.push({ level: rule.level, rule: rule.id, value: value * rule.weight * share, terms });
  }
}

/** Whether a rule speaks of a record. */
export function receives(rule: RewardRule, record: Pick<TraceRecord, 'role' | 'turn'>): boolean {
  if (rule.roles !== undefined && !rule.roles.includes(record.role ?? '')) return false;
  return rule.level !== 'turn' || rule.turn === undefined || rule.turn === record.turn;
}

function raw(rule: RewardRule, trace: Trace, record: TraceRecord | null): { name: string; value: number } {
  if (rule.value.kind === 'score') {
    const { metric } = rule.value;
    const value = trace.score[metric];
    if (value === undefined)
      throw new UserError(
        `The reward ${rule.id} reads a score that the task does not give: ${metric}; use one of ${Object.keys(trace.score).join(', ')}`,
      );
    return { name: metric, value };
  }
  return { name: 'value', value: celValue(rule.id, rule.value.expression, trace, record) };
}

function celValue(rule: string, expression: string, trace: Trace, record: TraceRecord | null): number {
  let value: Json;
  try {
    value = evaluateCel(expression, rewardScope(trace, record));
  } catch (error) {
    throw error instanceof UserError ? new UserError(`The reward ${rule} cannot be computed. ${error.message}`) : error;
  }
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number') return value;
  throw new UserError(
    `The reward ${rule} must be a number, but it is ${JSON.stringify(value).slice(0, 60)}; let its expression end in a number or a condition`,
  );
}

/** The names a reward's CEL sees. `previous` and `next` are the same role's records one turn before and after, or null. */
export const rewardNames = ['query', 'answer', 'score', 'record', 'records', 'previous', 'next'] as const;

function rewardScope(trace: Trace, record: TraceRecord | null): Record<(typeof rewardNames)[number], Json> {
  const roles = trace.records.filter((each) => each.kind === 'role');
  const beside = (offset: number): Json => {
    const found =
      record === null
        ? undefined
        : roles.find((each) => each.node === record.node && each.turn === record.turn + offset);
    return found === undefined ? null : recordView(found);
  };
  return {
    query: { id: trace.query.id, question: trace.query.question, answers: trace.query.answers },
    answer: trace.answer ?? '',
    score: trace.score,
    record: record === null ? null : recordView(record),
    records: roles.map(recordView),
    previous: beside(-1),
    next: beside(1),
  };
}

function recordView(record: TraceRecord): Json {
  return {
    id: record.id,
    node: record.node,
    role: record.role ?? '',
    turn: record.turn,
    text: record.text ?? '',
    legal: record.legal ?? true,
    length: record.length ?? 0,
    inputs: record.inputs as Json,
    outputs: record.outputs as Json,
  };
}
