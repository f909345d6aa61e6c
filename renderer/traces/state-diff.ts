/**
 * The state of a trace before and after a record, derived from the records in order: every value a finished record gave,
 * under `node.port`. A node that runs again overwrites what it gave before, and that is what a diff shows.
 */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import { valueText } from '../kit/format.ts';

export type TraceState = ReadonlyMap<string, unknown>;
export type Change =
  | { readonly kind: 'added'; readonly key: string; readonly after: string }
  | { readonly kind: 'changed'; readonly key: string; readonly before: string; readonly after: string };
export type StateDiff = {
  readonly changes: readonly Change[];
  readonly unchanged: readonly { key: string; value: string }[];
};

function write(into: Map<string, unknown>, record: TraceRecord): void {
  for (const [port, value] of Object.entries(record.outputs)) into.set(`${record.node}.${port}`, value);
}

/** State before the record at `at` (0-based) has run. */
export function stateBefore(trace: Pick<Trace, 'records'>, at: number): TraceState {
  const state = new Map<string, unknown>();
  for (const record of trace.records.slice(0, at)) write(state, record);
  return state;
}

export function diffAt(trace: Pick<Trace, 'records'>, at: number): StateDiff {
  const before = stateBefore(trace, at);
  const record = trace.records[at];
  if (!record) return { changes: [], unchanged: [] };
  const given = new Map<string, unknown>();
  write(given, record);
  const changes: Change[] = [];
  for (const [key, value] of given) {
    const after = valueText(value);
    if (!before.has(key)) changes.push({ kind: 'added', key, after });
    else if (valueText(before.get(key)) !== after)
      changes.push({ kind: 'changed', key, before: valueText(before.get(key)), after });
  }
  const touched = new Set(changes.map((change) => change.key));
  const unchanged = [...before]
    .filter(([key]) => !touched.has(key))
    .map(([key, value]) => ({ key, value: valueText(value) }));
  return { changes, unchanged };
}
