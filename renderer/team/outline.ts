/**
 * The outline: every node once, in the order values flow, and under an opened one its ports with the wires at each. It says
 * in words what the graph draws, and is the keyboard's way to draw it: every row can be acted on.
 */
import type { Edge, PortType, Workflow } from '../../workflows/schema/workflow.ts';
import { portsOf } from './ports.ts';
import { keyOf, type PortRef } from './wires.ts';

export type OutlineRow =
  | { readonly kind: 'node'; readonly key: string; readonly node: string }
  | {
      readonly kind: 'port';
      readonly key: string;
      readonly node: string;
      readonly ref: PortRef;
      readonly type: PortType | null;
      /** The wire at this port that the row is of; a port has a row for each, and one where it has none. */
      readonly edge: Edge | null;
    };

export function outline(workflow: Workflow, opened: ReadonlySet<string>): OutlineRow[] {
  const ids = workflow.nodes.map((node) => node.id);
  const depth = depths(workflow);
  const ordered = [...ids].sort((a, b) => (depth.get(a) ?? 0) - (depth.get(b) ?? 0) || ids.indexOf(a) - ids.indexOf(b));
  return ordered.flatMap((id) => [
    { kind: 'node' as const, key: id, node: id },
    ...(opened.has(id) ? portRows(workflow, id) : []),
  ]);
}

function portRows(workflow: Workflow, id: string): OutlineRow[] {
  const node = workflow.nodes.find((one) => one.id === id);
  if (!node) return [];
  const { inputs, outputs } = portsOf(workflow, node);
  return (['in', 'out'] as const).flatMap((side) =>
    (side === 'in' ? inputs : outputs).flatMap((port): OutlineRow[] => {
      const ref: PortRef = { node: id, side, port: port.name };
      const edges = workflow.edges.filter((edge) => {
        const end = side === 'in' ? edge.to : edge.from;
        return end.node === id && end.port === port.name;
      });
      const row = { kind: 'port', node: id, ref, type: port.type } as const;
      if (edges.length === 0) return [{ ...row, key: keyOf(ref), edge: null }];
      return edges.map((edge, at) => ({ ...row, key: `${keyOf(ref)}#${at}`, edge }));
    }),
  );
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
