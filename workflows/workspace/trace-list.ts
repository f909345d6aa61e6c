/** What a list of traces shows of each, and which of them a filter lets through: for those on disk and those on a page alike. */
import type { TraceFilter, TraceSummary } from '../protocol.ts';
import type { Trace } from '../schema/trace.ts';

export function summarise(trace: Trace): TraceSummary {
  const rewards = trace.records.flatMap((record) => (record.reward === undefined ? [] : [record.reward]));
  return {
    id: trace.id,
    step: trace.step,
    phase: trace.phase,
    question: trace.query.question,
    answer: trace.answer ?? '',
    status: trace.status,
    f1: trace.score.f1 ?? 0,
    em: trace.score.em ?? 0,
    reward: rewards.length === 0 ? 0 : rewards.reduce((a, b) => a + b, 0) / rewards.length,
    legal: trace.records.every((record) => record.legal !== false),
  };
}

export function passes(row: TraceSummary, filter: TraceFilter): boolean {
  const text = filter.text?.toLowerCase() ?? '';
  return (
    (filter.step === undefined || row.step === filter.step) &&
    (filter.phase === undefined || row.phase === filter.phase) &&
    (filter.legal === undefined || row.legal === filter.legal) &&
    `${row.question} ${row.answer}`.toLowerCase().includes(text)
  );
}

/** The part of the list that is asked for; at most 1,000 rows unless told otherwise. */
export function page(rows: readonly TraceSummary[], filter: TraceFilter): { total: number; rows: TraceSummary[] } {
  const offset = filter.offset ?? 0;
  return { total: rows.length, rows: rows.slice(offset, offset + (filter.limit ?? 1_000)) };
}
