/** The menu that asks what to add, what to put into a wire, or where a wire goes. */
import type { Edge, Workflow } from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { words } from '../words.ts';
import { nodeOf } from './edits.ts';
import { choices, insertChoice, type Choice } from './new-node.ts';
import { titleOf } from './team-scene.ts';
import { NEW, verdicts, type PortRef } from './wires.ts';

/**
 * Where it opens on the screen, and where on the canvas a new node goes; `from` is the wire that waits, `moving` the one it was
 * before, `between` the wire that a new node goes into.
 */
export type Menu = {
  readonly from: PortRef | null;
  readonly at: Point | null;
  readonly screen: Point | null;
  readonly moving?: Edge;
  readonly between?: Edge;
};

/** What it offers: for a waiting wire the ports that take it, and what could be added for it. */
export function offers(workflow: Workflow, { from, at, moving, between }: Menu): Choice[] {
  const added = choices(workflow, from);
  if (between) return added.filter((choice) => insertChoice(workflow, choice.id, between) !== null);
  if (!from) return added;
  const ends = endsFor(workflow, from);
  // Let go over empty canvas, a wire asks for a new node; from the keyboard it asks for a port first.
  const both = at ? [...added, ...ends] : [...ends, ...added];
  if (!moving) return both;
  const text = words.team.wire;
  return [{ id: 'off', label: text.remove, detail: text.port(moving.to.node, moving.to.port) }, ...both];
}

function endsFor(workflow: Workflow, from: PortRef): Choice[] {
  const text = words.team.wire;
  return [...verdicts(workflow, from)].flatMap(([key, verdict]) => {
    if (!verdict.ok) return [];
    const [id, , port] = key.split('|');
    const node = nodeOf(workflow, id);
    if (!node) return [];
    const title = titleOf(workflow, node);
    const label = port === NEW ? text.newPort(title) : text.port(title, port);
    return [{ id: `to|${key}`, label, detail: text.connectDetail }];
  });
}
