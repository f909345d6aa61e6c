/** Where a step through a trace leads: to the next record, to the next turn of a node, or to the next record of the same role. */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';

export const strides = ['record', 'turn', 'role'] as const;
export type Stride = (typeof strides)[number];

/**
 * The place a step from `at` leads to; the end of the trace in that direction where there is no further one. By turn it is the
 * first record of another turn than the one at hand, by role the next record of the same role (of any role from a record of none).
 */
export function stepFrom({ records }: Pick<Trace, 'records'>, at: number, by: Stride, direction: 1 | -1): number {
  const last = records.length - 1;
  const from = records[at];
  if (by === 'record' || from === undefined) return Math.max(0, Math.min(last, at + direction));
  for (let place = at + direction; place >= 0 && place <= last; place += direction)
    if (by === 'turn' ? records[place].turn !== from.turn : sameRole(records[place], from)) return place;
  return by === 'role' ? at : direction > 0 ? last : 0;
}

function sameRole(record: TraceRecord, from: TraceRecord): boolean {
  return from.role === undefined ? record.role !== undefined : record.role === from.role;
}

/** At most so many marks on a scrubber: each stands for the records from its place on. */
export function scrubberMarks(total: number, most = 200): number[] {
  if (total <= most) return Array.from({ length: total }, (_, place) => place);
  return Array.from({ length: most }, (_, i) => Math.floor((i * total) / most));
}
