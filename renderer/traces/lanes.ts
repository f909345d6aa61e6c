/**
 * A trace as a timeline: one lane a role, one for tools, one for everything else, and records from left to right in the order
 * they ran. Only what is in view is drawn. Lengths are pixels.
 */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';

export const LANE = 34;
export const STEP = 40;

export type Lane = { readonly kind: 'role'; readonly role: string } | { readonly kind: 'tools' | 'flow' };

/** Lanes of a trace: roles in the workflow's order, then tools, then the rest; only those something ran in. */
export function lanesOf({ records }: Pick<Trace, 'records'>, roles: readonly string[]): Lane[] {
  const spoke = new Set(records.flatMap(({ role }) => role ?? []));
  const known = [...roles.filter((role) => spoke.has(role)), ...[...spoke].filter((role) => !roles.includes(role))];
  const lanes: Lane[] = known.map((role) => ({ kind: 'role', role }));
  const others = new Set(records.filter(({ role }) => role === undefined).map(kindOf));
  if (others.has('tools')) lanes.push({ kind: 'tools' });
  if (others.has('flow')) lanes.push({ kind: 'flow' });
  return lanes;
}

function kindOf({ kind }: TraceRecord): 'tools' | 'flow' {
  return kind === 'tool' ? 'tools' : 'flow';
}

export function laneOf(lanes: readonly Lane[], record: TraceRecord): number {
  return lanes.findIndex((lane) =>
    lane.kind === 'role' ? lane.role === record.role : record.role === undefined && lane.kind === kindOf(record),
  );
}

/** Places from the first to behind the last that a window shows, with some to either side. */
export function placesInView(total: number, left: number, width: number, spare = 8): { from: number; to: number } {
  const from = Math.max(0, Math.floor(left / STEP) - spare);
  return { from, to: Math.min(total, Math.ceil((left + width) / STEP) + spare) };
}
