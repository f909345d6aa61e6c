/** A wire while it is pulled: where it starts, what is under the pointer, and why that takes it or does not. */
import type { Edge, Workflow } from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { words } from '../words.ts';
import { disconnect } from './edits.ts';
import { join, keyOf, landing, verdicts, type PortRef, type Verdict } from './wires.ts';

export type Pull = {
  readonly from: PortRef;
  /** Where the pointer is, on the canvas. */
  readonly at: Point;
  readonly over: PortRef | null;
  readonly why: string | null;
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** The wire that was taken off its port and goes elsewhere. */
  readonly moving: Edge | null;
};

/** From an input that has one wire, that wire is taken off, and its other end holds it. */
export function startedPull(workflow: Workflow, from: PortRef, at: Point): Pull {
  const [moving, ...more] = from.side === 'in' ? wiresInto(workflow, from) : [];
  const taken = moving && more.length === 0 ? moving : null;
  const start: PortRef = taken ? { node: taken.from.node, side: 'out', port: taken.from.port } : from;
  const judged = verdicts(without(workflow, taken), start);
  return { from: start, at, over: null, why: null, verdicts: judged, moving: taken };
}

/** The pointer moved; `over` is the port or card under it. */
export function movedPull(workflow: Workflow, pull: Pull, at: Point, over: PortRef | { node: string } | null): Pull {
  const rest = without(workflow, pull.moving);
  const end = over && !('port' in over) ? landing(rest, pull.from, over.node) : (over as PortRef | null);
  const found = end && pull.verdicts.get(keyOf(end));
  const why =
    found && !found.ok ? found.why : over && !end && over.node !== pull.from.node ? refusal(pull, over.node) : null;
  return { ...pull, at, over: end && found?.ok ? end : null, why };
}

/** The drawing with the wire at the port it is over; null where it is back where it was. */
export function landedPull(workflow: Workflow, { from, moving }: Pull, over: PortRef): Workflow | null {
  if (moving && moving.to.node === over.node && moving.to.port === over.port) return null;
  return join(without(workflow, moving), from, over);
}

function without(workflow: Workflow, moving: Edge | null): Workflow {
  return moving ? disconnect(workflow, moving) : workflow;
}

/** Why no port of a node takes the wire: the reason of its first, where that is about more than one port. */
function refusal({ verdicts: judged }: Pull, node: string): string {
  const found = [...judged].filter(([key]) => key.startsWith(`${node}|`)).map(([, verdict]) => verdict);
  const why = found.flatMap((verdict) => (verdict.ok ? [] : [verdict.why]));
  return new Set(why).size === 1 ? why[0] : words.team.wire.noPort;
}

function wiresInto({ edges }: Workflow, { node, port }: PortRef): Edge[] {
  return edges.filter((edge) => edge.to.node === node && edge.to.port === port);
}
