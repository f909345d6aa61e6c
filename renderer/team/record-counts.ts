/**
 * How many records each role makes for one question: what its nodes ask at one visit, times the rounds of the loops around
 * them. Where routers, loops or lists decide, that is a bound; what the last run's traces show is nearer the truth.
 */
import { UserError } from '../../engine/errors.ts';
import type { TraceSummary } from '../../workflows/protocol.ts';
import { buildGraph, type Graph, type Step } from '../../workflows/run/graph.ts';
import type { Edge, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';

/** `most`: no more than; `least`: at least, since a list of unknown length decides; `measured`: the mean of the last run. */
export type Count = { readonly n: number; readonly how: 'exact' | 'measured' | 'most' | 'least' };
export type Counts = Readonly<Record<string, Count>>;

type RoleNode = Extract<WorkflowNode, { kind: 'role' }>;
/** Vaguest last. */
const vaguer = ['exact', 'measured', 'most', 'least'] as const;

export function sumOf(counts: readonly Count[]): Count {
  const how = Math.max(0, ...counts.map((one) => vaguer.indexOf(one.how)));
  return { n: counts.reduce((sum, { n }) => sum + n, 0), how: vaguer[how] };
}

/** By role. A drawing that cannot run yet is counted as it stands, each node once. */
export function recordCounts(workflow: Workflow): Counts {
  const graph = graphOf(workflow);
  const rounds = graph ? roundsIn(graph) : new Map<string, number>();
  const { nodes, edges } = graph?.workflow ?? workflow;
  const decided = behindRouters({ nodes, edges });
  const found = new Map<string, Count[]>();
  for (const node of nodes) {
    const visits = rounds.get(node.id) ?? 1;
    const often = visits > 1 || decided.has(node.id) ? 'most' : 'exact';
    const add = (role: string, count: Count): void => void found.set(role, [...(found.get(role) ?? []), count]);
    if (node.kind === 'team') add(node.player, { n: visits * node.calls, how: 'most' });
    if (node.kind !== 'role') continue;
    const items = itemsOf({ ...workflow, nodes, edges }, node);
    add(node.role, {
      n: visits * items.n * (node.samples ?? 1),
      how: vaguer[Math.max(vaguer.indexOf(often), vaguer.indexOf(items.how))],
    });
  }
  return Object.fromEntries(Object.keys(workflow.roles).map((role) => [role, sumOf(found.get(role) ?? [])]));
}

/** Nodes that a router may never come to. */
function behindRouters({ nodes, edges }: Pick<Workflow, 'nodes' | 'edges'>): ReadonlySet<string> {
  const found = new Set<string>();
  const queue = nodes.flatMap((node) => (node.kind === 'router' ? [node.id] : []));
  for (let id = queue.pop(); id !== undefined; id = queue.pop())
    for (const edge of edges)
      if (edge.from.node === id && !found.has(edge.to.node)) {
        found.add(edge.to.node);
        queue.push(edge.to.node);
      }
  return found;
}

function graphOf(workflow: Workflow): Graph | null {
  try {
    return buildGraph(workflow);
  } catch (failure) {
    if (failure instanceof UserError) return null;
    throw failure;
  }
}

/** How often each node is visited at most: the limits of the loops around it, multiplied. */
function roundsIn({ steps, nodes }: Graph): Map<string, number> {
  const found = new Map<string, number>();
  const walk = (level: readonly Step[], rounds: number): void => {
    for (const step of level) {
      found.set(step.id, rounds);
      if (step.kind === 'node') continue;
      const header = nodes.get(step.id)?.node;
      walk(step.body, rounds * (header?.kind === 'loop' ? header.limit : 1));
    }
  };
  walk(steps, 1);
  return found;
}

type Drawn = Pick<Workflow, 'nodes' | 'edges' | 'roles'>;

/** How many items the lists have that a node takes item by item. */
function itemsOf(workflow: Drawn, node: Pick<RoleNode, 'id' | 'each'>, depth = 4): Count {
  const lengths = (node.each ?? []).flatMap((port) => lengthOf(workflow, { node: node.id, port }, depth) ?? []);
  if (node.each === undefined) return { n: 1, how: 'exact' };
  return lengths.length > 0 ? { n: Math.min(...lengths), how: 'most' } : { n: 1, how: 'least' };
}

/** Most items a list can have where it comes in; null where what makes it does not say. */
function lengthOf(workflow: Drawn, to: Edge['to'], depth: number): number | null {
  const edge = workflow.edges.find((one) => one.to.node === to.node && one.to.port === to.port);
  const from = workflow.nodes.find((node) => node.id === edge?.from.node);
  if (depth === 0 || (from?.kind !== 'role' && from?.kind !== 'tool')) return null;
  const { how, n } = itemsOf(workflow, from, depth - 1);
  if (from.each !== undefined && how === 'least') return null;
  if (from.kind === 'tool') return from.each === undefined ? null : n;
  if (from.each !== undefined || from.samples !== undefined) return n * (from.samples ?? 1);
  const parser = workflow.roles[from.role]?.parser;
  return parser?.kind === 'tags' || parser?.kind === 'steps' ? parser.max : null;
}

/** With the means of the last run's traces in place of bounds, where its traces know the role. */
export function measuredCounts(counts: Counts, traces: readonly Pick<TraceSummary, 'roles'>[]): Counts {
  if (traces.length === 0) return counts;
  return Object.fromEntries(
    Object.entries(counts).map(([role, count]) => {
      const total = traces.reduce((sum, { roles }) => sum + (roles[role]?.[2] ?? 0), 0);
      const seen = count.how !== 'exact' && traces.some(({ roles }) => roles[role] !== undefined);
      return [role, seen ? { n: total / traces.length, how: 'measured' as const } : count];
    }),
  );
}
