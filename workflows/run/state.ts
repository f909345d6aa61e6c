/**
 * What the team knew before and after each record: every value written so far, under "<node>.<port>", the latest visit's
 * last. Derived from a trace's records in order, in one pass; states share what did not change and are never stored.
 */
import type { Trace } from '../schema/trace.ts';
import type { Json } from '../schema/value.ts';

export type State = Readonly<Record<string, Json>>;

export type StateChange = {
  /** The record that made the change. */
  record: string;
  before: State;
  after: State;
  /** Keys that this record wrote for the first time, and those it gave another value. */
  added: string[];
  changed: string[];
};

/** One entry for each record, in the trace's order. */
export function deriveStates(trace: Pick<Trace, 'records'>): StateChange[] {
  let before: State = {};
  return trace.records.map((record) => {
    const written = Object.entries(record.outputs).map(([port, value]): [string, Json] => [
      `${record.node}.${port}`,
      value as Json,
    ]);
    const start = before;
    const after = written.length === 0 ? start : { ...start, ...Object.fromEntries(written) };
    before = after;
    return {
      record: record.id,
      before: start,
      after,
      added: written.filter(([key]) => !Object.hasOwn(start, key)).map(([key]) => key),
      changed: written
        .filter(([key, value]) => Object.hasOwn(start, key) && !same(start[key], value))
        .map(([key]) => key),
    };
  });
}

function same(a: Json, b: Json): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
