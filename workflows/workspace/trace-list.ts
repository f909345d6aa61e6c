/**
 * What a list of traces shows of each, which of them a filter lets through and in which order they stand: for those of a run
 * and for single questions alike. Rows come newest step first and, within a step, as they were written.
 */
import type {
  TraceFilter,
  TraceMeans,
  TraceOrder,
  TracePage,
  TraceRoleRow,
  TraceRow,
  TraceSummary,
} from '../protocol.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import { scoreOf } from '../train/summary.ts';

export function summarise(trace: Trace): TraceSummary {
  const spoken = trace.records.filter((record) => record.role !== undefined);
  return {
    id: trace.id,
    query: trace.query.id,
    step: trace.step,
    phase: trace.phase,
    question: trace.query.question,
    answer: trace.answer ?? '',
    status: trace.status,
    score: scoreOf(trace),
    f1: trace.score.f1 ?? 0,
    em: trace.score.em ?? 0,
    reward: mean(rewardsOf(trace.records)) ?? 0,
    legal: trace.records.every((record) => record.legal !== false),
    failed: trace.records.some((record) => record.error !== undefined),
    records: trace.records.length,
    tokens: spoken.reduce((sum, record) => sum + (record.length ?? 0), 0),
    roles: Object.fromEntries(
      [...new Set(spoken.map((record) => record.role!))].map((role) => [
        role,
        roleRow(spoken.filter((record) => record.role === role)),
      ]),
    ),
  };
}

function roleRow(records: readonly TraceRecord[]): TraceRoleRow {
  return [mean(rewardsOf(records)), records.every((record) => record.legal !== false), records.length];
}

function rewardsOf(records: readonly TraceRecord[]): number[] {
  return records.flatMap((record) => (record.reward === undefined ? [] : [record.reward]));
}

function mean(numbers: readonly number[]): number | null {
  return numbers.length === 0 ? null : numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

/** Whether a row passes: with a role named, legality and reward are that role's. */
export function passes(row: TraceSummary, filter: TraceFilter, tags: readonly string[] = []): boolean {
  const role = filter.role === undefined ? null : row.roles[filter.role];
  if (role === undefined) return false;
  const [reward, legal] = role ?? [row.reward, row.legal];
  return (
    (filter.step === undefined || row.step === filter.step) &&
    row.step >= (filter.from ?? 0) &&
    row.step <= (filter.to ?? Infinity) &&
    (filter.phase === undefined || row.phase === filter.phase) &&
    (filter.query === undefined || row.query === filter.query) &&
    (filter.legal === undefined || legal === filter.legal) &&
    (filter.failed === undefined || row.failed === filter.failed) &&
    (filter.dropped === undefined || (row.status === 'dropped') === filter.dropped) &&
    (filter.tag === undefined || tags.includes(filter.tag)) &&
    within(reward, filter.reward) &&
    within(row.score, filter.score) &&
    (!filter.text || contains(row, filter.text.toLowerCase()))
  );
}

function within(value: number | null, bounds: TraceFilter['reward']): boolean {
  return bounds === undefined || (value !== null && value >= bounds[0] && value <= bounds[1]);
}

function contains({ question, answer }: TraceSummary, text: string): boolean {
  return question.toLowerCase().includes(text) || answer.toLowerCase().includes(text);
}

/** Ties stand as they did: newest first. */
const orders: Readonly<Record<Exclude<TraceOrder, 'newest' | 'query'>, (a: TraceSummary, b: TraceSummary) => number>> =
  {
    oldest: (a, b) => a.step - b.step,
    best: (a, b) => b.score - a.score,
    worst: (a, b) => a.score - b.score,
    'most-reward': (a, b) => b.reward - a.reward,
    'least-reward': (a, b) => a.reward - b.reward,
    longest: (a, b) => b.tokens - a.tokens,
  };

export function ordered(rows: readonly TraceSummary[], order: TraceOrder = 'newest'): readonly TraceSummary[] {
  if (order === 'newest') return rows;
  if (order === 'query') return [...grouped(rows).values()].flat();
  return [...rows].sort(orders[order]);
}

/** Rows by their question, the question asked last first. */
function grouped(rows: readonly TraceSummary[]): Map<string, TraceSummary[]> {
  const groups = new Map<string, TraceSummary[]>();
  for (const row of rows) {
    const group = groups.get(row.query);
    if (group) group.push(row);
    else groups.set(row.query, [row]);
  }
  return groups;
}

/** The part of the list that is asked for; at most 1,000 rows unless told otherwise. */
export function page(rows: readonly TraceSummary[], { offset = 0, limit = 1_000, order }: TraceFilter): TracePage {
  const part: TraceRow[] = rows.slice(offset, offset + limit);
  const shown = order === 'query' ? part.map((row, i) => ({ ...row, ...groupAt(rows, offset + i) })) : part;
  return { total: rows.length, rows: shown, means: meansOf(rows) };
}

/** Of each list, worked out once and not for every part of it. */
const known = new WeakMap<readonly TraceSummary[], TraceMeans>();

function meansOf(rows: readonly TraceSummary[]): TraceMeans | null {
  if (rows.length === 0) return null;
  const means = known.get(rows) ?? {
    score: mean(rows.map((row) => row.score))!,
    reward: mean(rows.map((row) => row.reward))!,
    illegal: rows.filter((row) => !row.legal).length / rows.length,
    dropped: rows.filter((row) => row.status === 'dropped').length / rows.length,
  };
  known.set(rows, means);
  return means;
}

/** Of a group's first row, how many there are of it. */
function groupAt(rows: readonly TraceSummary[], at: number): { group?: number } {
  const { query } = rows[at];
  if (rows[at - 1]?.query === query) return {};
  let end = at + 1;
  while (rows[end]?.query === query) end++;
  return { group: end - at };
}
