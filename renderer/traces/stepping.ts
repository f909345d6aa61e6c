/**
 * Where a step through a trace leads: to the next record, to the next turn of a node, to the next record of the same role, or to
 * the next one where something went wrong; and where in a trace some words stand.
 */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';
import { valueText } from '../kit/format.ts';

export const strides = ['record', 'turn', 'role', 'problem'] as const;
export type Stride = (typeof strides)[number];

/**
 * The place a step from `at` leads to; the end of the trace in that direction where there is no further one. By turn it is the
 * first record of another turn than the one at hand, by role the next record of the same role (of any role from a record of none),
 * by problem the next one that is illegal or failed; without one, by role and by problem, it stays.
 */
export function stepFrom({ records }: Pick<Trace, 'records'>, at: number, by: Stride, direction: 1 | -1): number {
  const last = records.length - 1;
  const from = records[at];
  if (by === 'record' || from === undefined) return Math.max(0, Math.min(last, at + direction));
  for (let place = at + direction; place >= 0 && place <= last; place += direction)
    if (reached[by](records[place], from)) return place;
  if (by !== 'turn') return at;
  return direction > 0 ? last : 0;
}

const reached: Readonly<Record<Exclude<Stride, 'record'>, (record: TraceRecord, from: TraceRecord) => boolean>> = {
  turn: (record, from) => record.turn !== from.turn,
  role: sameRole,
  problem: ({ legal, error }) => legal === false || error !== undefined,
};

function sameRole(record: TraceRecord, from: TraceRecord): boolean {
  return from.role === undefined ? record.role !== undefined : record.role === from.role;
}

/** At most so many marks on a scrubber: each stands for the records from its place on. */
export function scrubberMarks(total: number, most = 200): number[] {
  if (total <= most) return Array.from({ length: total }, (_, place) => place);
  return Array.from({ length: most }, (_, i) => Math.floor((i * total) / most));
}

/** Places of the records that hold some words, in any letters' case: in what they read, were told, said and gave. */
export function placesOf({ records }: Pick<Trace, 'records'>, words: string): number[] {
  const wanted = words.trim().toLowerCase();
  if (wanted === '') return [];
  return records.flatMap((record, place) => (textOf(record).includes(wanted) ? [place] : []));
}

function textOf({
  node,
  title,
  inputs,
  outputs,
  prompt = [],
  text = '',
  error = '',
  problem = '',
}: TraceRecord): string {
  const values = [...Object.values(inputs), ...Object.values(outputs)].map(valueText);
  return [node, title, text, error, problem, ...prompt.map(({ content }) => content), ...values]
    .join('\n')
    .toLowerCase();
}

/** The place of a found record that comes next from `at`, round the ends; `at` itself where there is none. */
export function nextOf(places: readonly number[], at: number, direction: 1 | -1): number {
  const [first, last] = [places[0], places.at(-1)];
  if (first === undefined || last === undefined) return at;
  if (direction > 0) return places.find((place) => place > at) ?? first;
  return places.findLast((place) => place < at) ?? last;
}
