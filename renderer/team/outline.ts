/**
 * The outline: every node once, in the order values flow, each with what it reads and from where. It says in words what
 * the graph draws.
 */
import type { Workflow } from '../../workflows/schema/workflow.ts';

export type OutlineNode = {
  readonly id: string;
  readonly reads: readonly { port: string; from: string; fromPort: string }[];
};

export function outline(workflow: Pick<Workflow, 'nodes' | 'edges'>): OutlineNode[] {
  const ids = workflow.nodes.map((node) => node.id);
  const depth = depths(workflow);
  const ordered = [...ids].sort((a, b) => (depth.get(a) ?? 0) - (depth.get(b) ?? 0) || ids.indexOf(a) - ids.indexOf(b));
  return ordered.map((id) => ({
    id,
    reads: workflow.edges
      .filter((edge) => edge.to.node === id)
      .map((edge) => ({ port: edge.to.port, from: edge.from.node, fromPort: edge.from.port })),
  }));
}

/** Longest way from an input, loops cut: a wire into a node still on the way does not count. */
function depths({ nodes, edges }: Pick<Workflow, 'nodes' | 'edges'>): Map<string, number> {
  const next = new Map(
    nodes.map((node) => [node.id, edges.filter((edge) => edge.from.node === node.id).map((edge) => edge.to.node)]),
  );
  const back = new Set<string>();
  const state = new Map<string, 'open' | 'closed'>();
  const order: string[] = [];
  const visit = (id: string): void => {
    state.set(id, 'open');
    for (const to of next.get(id) ?? []) {
      if (state.get(to) === 'open') back.add(`${id}>${to}`);
      else if (!state.has(to)) visit(to);
    }
    state.set(id, 'closed');
    order.unshift(id);
  };
  for (const node of nodes) if (!state.has(node.id)) visit(node.id);
  const depth = new Map(nodes.map((node) => [node.id, 0]));
  for (const id of order)
    for (const to of next.get(id) ?? [])
      if (!back.has(`${id}>${to}`)) depth.set(to, Math.max(depth.get(to) ?? 0, (depth.get(id) ?? 0) + 1));
  return depth;
}
