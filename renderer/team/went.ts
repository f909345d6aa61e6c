/** What became of nodes when a question ran: whether they are asked now, are done, wrote what is illegal, or failed. */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';

/** Worst last, so that of several the worst is told. */
const states = ['done', 'asked', 'illegal', 'failed'] as const;
export type WentState = (typeof states)[number];
export type Went = { readonly state: WentState; readonly times: number };

/** Of a finished trace, by the nodes' paths. */
export function wentIn({ records }: Pick<Trace, 'records'>): Map<string, Went> {
  const went = new Map<string, Went>();
  for (const record of records)
    went.set(record.node, worse(went.get(record.node), { state: stateOf(record), times: 1 }));
  return went;
}

function stateOf({ error, legal }: TraceRecord): WentState {
  if (error !== undefined) return 'failed';
  return legal === false ? 'illegal' : 'done';
}

/** By the nodes of one drawing; what happened within a group is told of the group. */
export function wentWithin(went: Iterable<readonly [string, Went]>, prefix: string): Readonly<Record<string, Went>> {
  const found: Record<string, Went> = {};
  for (const [path, one] of went) {
    if (!path.startsWith(prefix)) continue;
    const [node, inner] = path.slice(prefix.length).split('.');
    const before = found[node];
    const both = worse(before, one);
    found[node] = inner === undefined ? both : { ...both, times: Math.max(before?.times ?? 0, one.times) };
  }
  return found;
}

function worse(a: Went | undefined, b: Went): Went {
  if (!a) return b;
  return { state: states.indexOf(a.state) > states.indexOf(b.state) ? a.state : b.state, times: a.times + b.times };
}
