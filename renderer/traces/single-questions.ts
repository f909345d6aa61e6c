/** Questions asked one at a time in this page, listed like a run's traces. They live as long as the page. */
import type { TraceFilter, TraceSummary } from '../../workflows/protocol.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import { page, passes, summarise } from '../../workflows/workspace/trace-list.ts';

/** Stands in an address where a run's id would; no run id begins with a hyphen. */
export const SINGLE = '-questions';

export function listed(traces: readonly Trace[], filter: TraceFilter): { total: number; rows: TraceSummary[] } {
  return page(
    traces.map(summarise).filter((row) => passes(row, filter)),
    filter,
  );
}
