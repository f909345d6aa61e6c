/**
 * What a wire may join. A wire in the making starts at one port, output or input; every other port either takes it or says
 * in one sentence why not. `+` stands for a port that the node would grow for it.
 */
import type { PortType, Workflow } from '../../workflows/schema/workflow.ts';
import { fits } from '../../workflows/schema/value.ts';
import { words } from '../words.ts';
import { connect, nodeOf, type End } from './edits.ts';
import { addPort, growing } from './port-edits.ts';
import { portsOf } from './ports.ts';

export type Side = 'in' | 'out';
export type PortRef = { readonly node: string; readonly side: Side; readonly port: string };
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly why: string };

/** The port that a node grows when a wire is dropped on it. */
export const NEW = '+';

export function keyOf({ node, side, port }: PortRef): string {
  return `${node}|${side}|${port}`;
}

export function typeOf(workflow: Workflow, { node, side, port }: PortRef): PortType | null {
  const found = nodeOf(workflow, node);
  if (!found) return null;
  const ports = portsOf(workflow, found);
  return (side === 'in' ? ports.inputs : ports.outputs).find((one) => one.name === port)?.type ?? null;
}

function no(why: string): Verdict {
  return { ok: false, why };
}

/** Whether a wire begun at `start` may end at `end`. */
export function verdict(workflow: Workflow, start: PortRef, end: PortRef): Verdict {
  const text = words.team.wire;
  if (start.node === end.node) return no(text.itself);
  if (start.side === end.side) return no(start.side === 'out' ? text.bothOut : text.bothIn);
  const [from, to] = start.side === 'out' ? [start, end] : [end, start];
  const known = typeOf(workflow, start);
  if (known === null) return no(text.unknown(start.node));
  const other = end.port === NEW ? known : typeOf(workflow, end);
  if (other === null) return no(text.unknown(end.node));
  const [given, taken] = start.side === 'out' ? [known, other] : [other, known];
  if (!fits(given, taken)) return no(text.types(given, taken));
  if (joined(workflow, from, to)) return no(text.already);
  if (circles(workflow, from, to)) return no(text.circle);
  return { ok: true };
}

function joined(workflow: Workflow, from: End, to: End): boolean {
  return workflow.edges.some(
    (edge) =>
      edge.from.node === from.node &&
      edge.from.port === from.port &&
      edge.to.node === to.node &&
      edge.to.port === to.port,
  );
}

/** A way back that does not close at a loop's `again` would wait for itself for ever. */
function circles(workflow: Workflow, from: End, to: End): boolean {
  const loops = new Set(workflow.nodes.filter((node) => node.kind === 'loop').map((node) => node.id));
  const closes = (end: End): boolean => loops.has(end.node) && end.port === 'again';
  if (closes(to)) return false;
  const seen = new Set([to.node]);
  const queue = [to.node];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (id === from.node) return true;
    for (const edge of workflow.edges) {
      if (edge.from.node !== id || closes(edge.to) || seen.has(edge.to.node)) continue;
      seen.add(edge.to.node);
      queue.push(edge.to.node);
    }
  }
  return false;
}

/** Every other port of the drawing with its verdict, by key; ports of the start's own side are left out. */
export function verdicts(workflow: Workflow, start: PortRef): Map<string, Verdict> {
  const side = start.side === 'out' ? 'in' : 'out';
  return new Map(
    workflow.nodes.flatMap((node) => {
      const ports = portsOf(workflow, node);
      const names = (side === 'in' ? ports.inputs : ports.outputs).map((port) => port.name);
      const all = growing(node) === side ? [...names, NEW] : names;
      return all.map((port) => {
        const end = { node: node.id, side, port } as const;
        return [keyOf(end), verdict(workflow, start, end)] as const;
      });
    }),
  );
}

/** Draws the wire; a `+` end grows its port first. Null when it may not be drawn. */
export function join(workflow: Workflow, start: PortRef, end: PortRef): Workflow | null {
  if (!verdict(workflow, start, end).ok) return null;
  const type = typeOf(workflow, start);
  if (end.port !== NEW || type === null) return wired(workflow, start, end);
  const grown = addPort(workflow, end.node, { name: start.port, type });
  return grown && wired(grown.workflow, start, { ...end, port: grown.port });
}

function wired(workflow: Workflow, start: PortRef, end: PortRef): Workflow {
  const [from, to] = start.side === 'out' ? [start, end] : [end, start];
  return connect(workflow, { node: from.node, port: from.port }, { node: to.node, port: to.port });
}

/** A port of a node that takes the wire: the first that fits and is free, else the first that fits, else a new one. */
export function landing(workflow: Workflow, start: PortRef, node: string): PortRef | null {
  const side = start.side === 'out' ? 'in' : 'out';
  const found = nodeOf(workflow, node);
  if (!found) return null;
  const ports = portsOf(workflow, found);
  const ends = (side === 'in' ? ports.inputs : ports.outputs)
    .map((port): PortRef => ({ node, side, port: port.name }))
    .filter((end) => verdict(workflow, start, end).ok);
  const used = (end: PortRef): boolean =>
    workflow.edges.some((edge) => edge.to.node === end.node && edge.to.port === end.port);
  const free = side === 'in' ? ends.find((end) => !used(end)) : ends[0];
  const fresh: PortRef = { node, side, port: NEW };
  if (free) return free;
  if (growing(found) === side && verdict(workflow, start, fresh).ok) return fresh;
  return ends[0] ?? null;
}
