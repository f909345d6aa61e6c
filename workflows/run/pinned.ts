/**
 * Results that stand for nodes: a pinned node gives what it is told and is not run, at every visit, and what was only needed
 * to get there is not run either. So the rest of a team can be tried again and again without paying for its beginning.
 */
import { z } from 'zod';
import { valuesSchema } from '../schema/trace.ts';
import type { Graph, Step } from './graph.ts';

/** By node, with a sub-workflow's as "<node>.<inner node>"; names that no node has are passed over. */
export const pinnedSchema = z.record(z.string(), valuesSchema);
export type Pinned = z.infer<typeof pinnedSchema>;

/** Nodes whose results nobody asks for once those pinned are given. Memory is written for all, so it is always asked for. */
export function idleNodes({ nodes, edges, steps }: Graph, pinned: Pinned): ReadonlySet<string> {
  if (![...nodes.keys()].some((id) => Object.hasOwn(pinned, id))) return new Set();
  const headers = new Map(steps.flatMap(cycles).flatMap(({ id, members }) => [...members].map((one) => [one, id])));
  const needed = new Set<string>();
  const queue = [...nodes.values()]
    .filter(({ node }) => node.kind === 'output' || node.kind === 'memory')
    .map(({ node }) => node.id);
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    const header = headers.get(id);
    if (header !== undefined) queue.push(header);
    if (Object.hasOwn(pinned, id)) continue;
    for (const incoming of Object.values(nodes.get(id)!.incoming).flat()) queue.push(edges[incoming].from.node);
  }
  return new Set([...nodes.keys()].filter((id) => !needed.has(id)));
}

/** Cycles with those inside them, outermost first, so that a member's innermost loop is the one that stays. */
function cycles(step: Step): { id: string; members: ReadonlySet<string> }[] {
  return step.kind === 'node' ? [] : [{ id: step.id, members: step.members }, ...step.body.flatMap(cycles)];
}
