/** Questions asked one at a time in this page, listed like a run's traces. They live as long as the page. */
import type { TraceFilter, TraceSummary } from '../../workflows/protocol.ts';
import type { Trace } from '../../workflows/schema/trace.ts';

/** Stands in an address where a run's id would; no run id begins with a hyphen. */
export const SINGLE = '-questions';

export function summaryOf(trace: Trace): TraceSummary {
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
    reward: rewards.length === 0 ? 0 : rewards.reduce((sum, value) => sum + value, 0) / rewards.length,
    legal: trace.records.every((record) => record.legal !== false),
  };
}

export function listed(traces: readonly Trace[], filter: TraceFilter): { total: number; rows: TraceSummary[] } {
  const text = filter.text?.toLowerCase();
  const rows = traces
    .map(summaryOf)
    .filter((row) => text === undefined || `${row.question} ${row.answer}`.toLowerCase().includes(text))
    .filter((row) => filter.legal === undefined || row.legal === filter.legal)
    .filter((row) => filter.phase === undefined || row.phase === filter.phase)
    .filter((row) => filter.step === undefined || row.step === filter.step);
  const offset = filter.offset ?? 0;
  return { total: rows.length, rows: rows.slice(offset, offset + (filter.limit ?? rows.length)) };
}
