/**
 * Groups are sub-workflows: a part of the drawing with one input and one output of its own, run by one node. Making a group
 * leads the wires that cross its border through new ports; taking it apart puts the nodes and wires back.
 */
import { UserError } from '../../engine/errors.ts';
import type { CanvasNote, Edge, Port, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { words } from '../words.ts';
import { nodeOf, renameEnds, withoutLooseWires, type End } from './edits.ts';
import { freeName } from './names.ts';
import type { Moved } from './paths.ts';
import { portsOf } from './ports.ts';

/** How far apart cards stand that are placed side by side, canvas units. */
const BESIDE = 220;

/** A sub-workflow as if it were the whole drawing; null where there is none of the name. */
export function insideOf(workflow: Workflow, name: string): Workflow | null {
  const part = workflow.workflows?.[name];
  if (!part) return null;
  const { notes: _, ...whole } = workflow;
  const own = part.notes ? { notes: part.notes } : {};
  return { ...whole, nodes: part.nodes, edges: part.edges, layout: part.layout ?? {}, ...own };
}

/** The whole with an edited inside put back; wires to ports the group has no more are taken out. */
export function withInside(workflow: Workflow, name: string, edited: Workflow): Workflow {
  const part = workflow.workflows?.[name];
  if (!part) return workflow;
  const { layout: _, notes: __, ...before } = part;
  const { notes, ...rest } = edited;
  const placed = {
    ...(Object.keys(edited.layout).length > 0 ? { layout: edited.layout } : {}),
    ...(notes ? { notes } : {}),
  };
  const next = {
    ...rest,
    ...(workflow.notes ? { notes: workflow.notes } : {}),
    nodes: workflow.nodes,
    edges: workflow.edges,
    layout: workflow.layout,
    workflows: { ...edited.workflows, [name]: { ...before, nodes: edited.nodes, edges: edited.edges, ...placed } },
  };
  return withoutLooseEnds(withRenamedEnds(next, name, part.nodes, edited.nodes), name);
}

/** Wires outside follow a port of a group's input or output that only changed its name. */
function withRenamedEnds(
  workflow: Workflow,
  name: string,
  before: readonly WorkflowNode[],
  after: readonly WorkflowNode[],
): Workflow {
  const names = (nodes: readonly WorkflowNode[], kind: 'input' | 'output'): string[] =>
    nodes.flatMap((node) =>
      node.kind !== kind
        ? []
        : node.kind === 'input'
          ? node.outputs.map(portName)
          : 'inputs' in node
            ? node.inputs.map(portName)
            : [],
    );
  const renamed = (['input', 'output'] as const).flatMap((kind) => {
    const [old, now] = [names(before, kind), names(after, kind)];
    const changed = old.length === now.length ? old.flatMap((one, at) => (one === now[at] ? [] : [at])) : [];
    const side = kind === 'input' ? ('in' as const) : ('out' as const);
    return changed.length === 1 ? [{ side, from: old[changed[0]], to: now[changed[0]] }] : [];
  });
  const follow = (drawn: Workflow): Workflow =>
    drawn.nodes.reduce(
      (one, node) =>
        node.kind === 'workflow' && node.workflow === name
          ? renamed.reduce((next, { side, from, to }) => renameEnds(next, node.id, side, from, to), one)
          : one,
      drawn,
    );
  if (renamed.length === 0) return workflow;
  const parts = Object.entries(workflow.workflows ?? {}).map(([at, part]) => {
    const { edges } = follow({ ...workflow, nodes: part.nodes, edges: part.edges });
    return [at, { ...part, edges }] as const;
  });
  return { ...follow(workflow), workflows: Object.fromEntries(parts) };
}

const portName = ({ name }: Port): string => name;

/** Takes out the wires to ports that the nodes running a sub-workflow have no more, wherever such a node stands. */
function withoutLooseEnds(workflow: Workflow, name: string): Workflow {
  const runners = (nodes: readonly WorkflowNode[]): string[] =>
    nodes.filter((node) => node.kind === 'workflow' && node.workflow === name).map((node) => node.id);
  const whole = withoutLooseWires(workflow, runners(workflow.nodes));
  return Object.entries(whole.workflows ?? {}).reduce((drawn, [at, part]) => {
    const { edges } = withoutLooseWires({ ...drawn, nodes: part.nodes, edges: part.edges }, runners(part.nodes));
    return edges === part.edges ? drawn : { ...drawn, workflows: { ...drawn.workflows, [at]: { ...part, edges } } };
  }, whole);
}

type Crossing = { readonly end: End; readonly port: Port };

/** One port for each thing that crosses the border, named after where it stands. */
function crossings(ends: readonly End[], workflow: Workflow, side: 'inputs' | 'outputs'): Crossing[] {
  const found: Crossing[] = [];
  for (const end of ends) {
    if (found.some((one) => one.end.node === end.node && one.end.port === end.port)) continue;
    const node = nodeOf(workflow, end.node);
    const port = node && portsOf(workflow, node)[side].find((one) => one.name === end.port);
    if (!port?.type) continue;
    const name = freeName(
      port.name,
      found.map((one) => one.port.name),
    );
    found.push({ end, port: { name, type: port.type, optional: false } });
  }
  return found;
}

function checkGroup(workflow: Workflow, inside: ReadonlySet<string>): void {
  const text = words.team.group;
  const nodes = workflow.nodes.filter((node) => inside.has(node.id));
  if (nodes.length < 2) throw new UserError(text.few);
  if (nodes.some((node) => node.kind === 'input' || node.kind === 'output')) throw new UserError(text.ends);
  // The way back of a loop that stays outside goes round as a whole, whatever of its body is a group.
  const loops = new Set(
    workflow.nodes.flatMap((node) => (node.kind === 'loop' && !inside.has(node.id) ? [node.id] : [])),
  );
  const onward = workflow.edges.filter((edge) => !(loops.has(edge.to.node) && edge.to.port === 'again'));
  const leaves = onward.filter((edge) => inside.has(edge.from.node) && !inside.has(edge.to.node));
  const seen = new Set(leaves.map((edge) => edge.to.node));
  const queue = [...seen];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    if (inside.has(id)) throw new UserError(text.around);
    for (const edge of onward)
      if (edge.from.node === id && !seen.has(edge.to.node)) {
        seen.add(edge.to.node);
        queue.push(edge.to.node);
      }
  }
}

/**
 * Puts nodes into a new sub-workflow; `moved` is for what names them from outside. Throws a UserError where they cannot be
 * one: too few, an end of the team, a way around.
 */
export function grouped(
  workflow: Workflow,
  ids: readonly string[],
  places: Readonly<Record<string, Point>>,
): { workflow: Workflow; id: string; moved: Moved } {
  const inside = new Set(ids);
  checkGroup(workflow, inside);
  const into = workflow.edges.filter((edge) => !inside.has(edge.from.node) && inside.has(edge.to.node));
  const out = workflow.edges.filter((edge) => inside.has(edge.from.node) && !inside.has(edge.to.node));
  const ins = crossings(
    into.map((edge) => edge.from),
    workflow,
    'outputs',
  );
  const outs = crossings(
    out.map((edge) => edge.from),
    workflow,
    'outputs',
  );
  if (ins.length === 0 || outs.length === 0) throw new UserError(words.team.group.border);
  const nodes = workflow.nodes.filter((node) => inside.has(node.id));
  const name = freeName('group', Object.keys(workflow.workflows ?? {}));
  const id = freeName(
    name,
    workflow.nodes.map((node) => node.id),
  );
  const start = freeName('in', [...inside]);
  const end = freeName('out', [...inside]);
  const inner = innerPart({ nodes, into, outs, ins, start, end, edges: workflow.edges, inside });
  const fixed = Object.keys(workflow.layout).length > 0;
  const node: WorkflowNode = {
    id,
    kind: 'workflow',
    title: words.team.group.title,
    timeoutMs: Math.max(...nodes.map((one) => one.timeoutMs)),
    workflow: name,
  };
  const crossed = (list: readonly Crossing[], from: End): string =>
    list.find((one) => one.end.node === from.node && one.end.port === from.port)?.port.name ?? '';
  const edges = workflow.edges
    .filter((edge) => !(inside.has(edge.from.node) && inside.has(edge.to.node)))
    .map((edge): Edge => {
      if (inside.has(edge.to.node)) return { from: edge.from, to: { node: id, port: crossed(ins, edge.from) } };
      if (inside.has(edge.from.node)) return { from: { node: id, port: crossed(outs, edge.from) }, to: edge.to };
      return edge;
    });
  return {
    id,
    moved: (path) => (inside.has(path.split('.')[0]) ? `${id}.${path}` : path),
    workflow: {
      ...workflow,
      nodes: [...workflow.nodes.filter((one) => !inside.has(one.id)), node],
      edges: unique(edges),
      workflows: {
        ...workflow.workflows,
        [name]: {
          title: words.team.group.title,
          ...inner,
          ...(fixed ? { layout: innerLayout(inside, start, end, places) } : {}),
        },
      },
      layout: layoutWith(workflow, inside, id, places),
    },
  };
}

/** Nodes of a group stand as they stood, between its two ends. */
function innerLayout(
  inside: ReadonlySet<string>,
  start: string,
  end: string,
  places: Readonly<Record<string, Point>>,
): Workflow['layout'] {
  const own = [...inside].flatMap((id) => (places[id] ? [[id, places[id]] as const] : []));
  if (own.length === 0) return {};
  const xs = own.map(([, { x }]) => x);
  const y = own.reduce((sum, [, at]) => sum + at.y, 0) / own.length;
  const all = [
    ...own,
    [start, { x: Math.min(...xs) - BESIDE, y }] as const,
    [end, { x: Math.max(...xs) + BESIDE, y }] as const,
  ];
  return Object.fromEntries(all.map(([id, at]) => [id, { x: Math.round(at.x), y: Math.round(at.y) }]));
}

function innerPart(part: {
  nodes: WorkflowNode[];
  edges: readonly Edge[];
  into: readonly Edge[];
  ins: readonly Crossing[];
  outs: readonly Crossing[];
  start: string;
  end: string;
  inside: ReadonlySet<string>;
}): { nodes: WorkflowNode[]; edges: Edge[] } {
  const { start, end, ins, outs, inside } = part;
  const base = { title: '', timeoutMs: 120_000 };
  return {
    nodes: [
      { ...base, id: start, kind: 'input', title: words.team.kinds.input, outputs: ins.map((one) => one.port) },
      ...part.nodes,
      { ...base, id: end, kind: 'output', title: words.team.kinds.output, inputs: outs.map((one) => one.port) },
    ],
    edges: [
      ...part.into.map((edge) => ({
        from: {
          node: start,
          port: ins.find((one) => one.end.node === edge.from.node && one.end.port === edge.from.port)?.port.name ?? '',
        },
        to: edge.to,
      })),
      ...part.edges.filter((edge) => inside.has(edge.from.node) && inside.has(edge.to.node)),
      ...outs.map((one) => ({ from: { ...one.end }, to: { node: end, port: one.port.name } })),
    ],
  };
}

function unique(edges: readonly Edge[]): Edge[] {
  const seen = new Set<string>();
  return edges.filter(({ from, to }) => {
    const key = `${from.node}.${from.port}>${to.node}.${to.port}`;
    return seen.has(key) ? false : seen.add(key);
  });
}

function layoutWith(
  workflow: Workflow,
  inside: ReadonlySet<string>,
  id: string,
  places: Readonly<Record<string, Point>>,
): Workflow['layout'] {
  if (Object.keys(workflow.layout).length === 0) return {};
  const points = [...inside].flatMap((one) => (places[one] ? [places[one]] : []));
  const kept = Object.fromEntries(Object.entries(workflow.layout).filter(([one]) => !inside.has(one)));
  if (points.length === 0) return kept;
  const mean = (of: (point: Point) => number): number =>
    Math.round(points.reduce((sum, point) => sum + of(point), 0) / points.length);
  return { ...kept, [id]: { x: mean(({ x }) => x), y: mean(({ y }) => y) } };
}

/** Puts a group's nodes back into the drawing; the sub-workflow goes when no other node runs it. Null where it is not one. */
export function ungrouped(
  workflow: Workflow,
  id: string,
  places: Readonly<Record<string, Point>>,
): { workflow: Workflow; ids: string[]; moved: Moved } | null {
  const outer = nodeOf(workflow, id);
  const part = outer?.kind === 'workflow' ? workflow.workflows?.[outer.workflow] : undefined;
  if (outer?.kind !== 'workflow' || !part) return null;
  const start = part.nodes.find((node) => node.kind === 'input')?.id;
  const end = part.nodes.find((node) => node.kind === 'output')?.id;
  const used = workflow.nodes.map((node) => node.id).filter((one) => one !== id);
  const names = new Map<string, string>();
  for (const node of part.nodes) {
    if (node.id === start || node.id === end) continue;
    const name = freeName(node.id, used);
    used.push(name);
    names.set(node.id, name);
  }
  const named = (one: End): End => ({ ...one, node: names.get(one.node) ?? one.node });
  const nodes = part.nodes.flatMap((node) =>
    names.has(node.id) ? [{ ...node, id: names.get(node.id) as string }] : [],
  );
  const inner = part.edges
    .filter((edge) => edge.from.node !== start && edge.to.node !== end)
    .map((edge) => ({ from: named(edge.from), to: named(edge.to) }));
  const entering = workflow.edges
    .filter((edge) => edge.to.node === id)
    .flatMap((edge) =>
      part.edges
        .filter((one) => one.from.node === start && one.from.port === edge.to.port && one.to.node !== end)
        .map((one) => ({ from: edge.from, to: named(one.to) })),
    );
  const leaving = workflow.edges
    .filter((edge) => edge.from.node === id)
    .flatMap((edge) =>
      part.edges
        .filter((one) => one.to.node === end && one.to.port === edge.from.port && one.from.node !== start)
        .map((one) => ({ from: named(one.from), to: edge.to })),
    );
  const others = workflow.nodes.some(
    (node) => node.id !== id && node.kind === 'workflow' && node.workflow === outer.workflow,
  );
  const left = Object.fromEntries(
    Object.entries(workflow.workflows ?? {}).filter(([name]) => others || name !== outer.workflow),
  );
  const at = places[id] ?? { x: 0, y: 0 };
  const fixed = Object.keys(workflow.layout).length > 0;
  const spread = fixed ? outerLayout(part.layout ?? {}, names, at) : {};
  const { workflows: _, ...rest } = workflow;
  return {
    ids: nodes.map((node) => node.id),
    moved: (path) => {
      const [head, first, ...more] = path.split('.');
      return head === id && first !== undefined ? [names.get(first) ?? first, ...more].join('.') : path;
    },
    workflow: {
      ...rest,
      nodes: [...workflow.nodes.filter((node) => node.id !== id), ...nodes],
      edges: unique([
        ...workflow.edges.filter((edge) => edge.from.node !== id && edge.to.node !== id),
        ...entering,
        ...inner,
        ...leaving,
      ]),
      ...(Object.keys(left).length > 0 ? { workflows: left } : {}),
      ...(part.notes ? { notes: bothNotes(workflow.notes ?? [], part.notes) } : {}),
      layout: { ...Object.fromEntries(Object.entries(workflow.layout).filter(([one]) => one !== id)), ...spread },
    },
  };
}

/** The notes of a group come along, under names that are free. */
function bothNotes(outer: readonly CanvasNote[], inner: readonly CanvasNote[]): CanvasNote[] {
  const notes = [...outer];
  for (const note of inner)
    notes.push({
      ...note,
      id: freeName(
        note.id,
        notes.map(({ id }) => id),
      ),
    });
  return notes.slice(0, 100);
}

/** Around where the group stood: as its nodes stood in it, or side by side where it laid itself out. */
function outerLayout(inner: Workflow['layout'], names: ReadonlyMap<string, string>, at: Point): Workflow['layout'] {
  const own = [...names].map(([id, name], n): [string, Point] => [name, inner[id] ?? { x: n * BESIDE, y: 0 }]);
  const middle = (of: (point: Point) => number): number => {
    const all = own.map(([, place]) => of(place));
    return (Math.min(...all) + Math.max(...all)) / 2;
  };
  const [x, y] = own.length === 0 ? [0, 0] : [middle((place) => place.x), middle((place) => place.y)];
  return Object.fromEntries(
    own.map(([name, place]) => [name, { x: Math.round(at.x + place.x - x), y: Math.round(at.y + place.y - y) }]),
  );
}
