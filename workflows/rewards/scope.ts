/** What a reward that a person wrote sees of a finished trace, in CEL and in JavaScript alike. */
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Json } from '../schema/value.ts';

/** `previous` and `next` are the same node's records one turn before and after, or null. */
export const rewardNames = ['query', 'answer', 'score', 'record', 'records', 'previous', 'next'] as const;

export function rewardScope(trace: Trace, record: TraceRecord | null): Record<(typeof rewardNames)[number], Json> {
  const view = (found: TraceRecord | null): Json => (found === null ? null : recordView(found));
  return {
    ...wholeScope(trace),
    record: view(record),
    previous: view(beside(trace, record, -1)),
    next: view(beside(trace, record, 1)),
  };
}

/** The names that are the same for every record. */
export function wholeScope(trace: Trace): Record<'query' | 'answer' | 'score' | 'records', Json> {
  return {
    query: { id: trace.query.id, question: trace.query.question, answers: trace.query.answers },
    answer: trace.answer ?? '',
    score: trace.score,
    records: roleRecords(trace).map(recordView),
  };
}

export function roleRecords(trace: Trace): TraceRecord[] {
  return trace.records.filter((each) => each.kind === 'role');
}

/** The record of the same node and index so many turns on; null where there is none. */
export function beside(trace: Trace, record: TraceRecord | null, turns: number): TraceRecord | null {
  if (record === null) return null;
  const same = (each: TraceRecord): boolean =>
    each.node === record.node && each.turn === record.turn + turns && (each.index ?? 0) === (record.index ?? 0);
  return roleRecords(trace).find(same) ?? null;
}

function recordView(record: TraceRecord): Json {
  return {
    id: record.id,
    node: record.node,
    role: record.role ?? '',
    turn: record.turn,
    index: record.index ?? 0,
    text: record.text ?? '',
    legal: record.legal ?? true,
    length: record.length ?? 0,
    inputs: record.inputs as Json,
    outputs: record.outputs as Json,
  };
}
