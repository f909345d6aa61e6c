/**
 * Every change a person can draw, as a function from one workflow to the next: nodes, wires, ports and names. What hangs on
 * a thing goes or moves with it: wires with ports, places with nodes, a role with the last node that plays it. Knows no
 * screen and no history.
 */
import type { Edge, Role, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { freeName, slug } from './names.ts';
import type { Moved } from './paths.ts';
import { portsOf } from './ports.ts';

export type End = { readonly node: string; readonly port: string };

export function nodeOf(workflow: Workflow, id: string): WorkflowNode | undefined {
  return workflow.nodes.find((node) => node.id === id);
}

/** Replaces a node whole; wires to ports it no longer has go. */
export function setNode(workflow: Workflow, node: WorkflowNode): Workflow {
  return withoutLooseWires({ ...workflow, nodes: workflow.nodes.map((one) => (one.id === node.id ? node : one)) }, [
    node.id,
  ]);
}

export function setRole(workflow: Workflow, id: string, role: Role): Workflow {
  const players = workflow.nodes.filter((node) => node.kind === 'role' && node.role === id).map((node) => node.id);
  const next = { ...workflow, roles: { ...workflow.roles, [id]: role } };
  const [before, after] = [outputNames(workflow, players[0]), outputNames(next, players[0])];
  // A port that only changed its name keeps its wires.
  const renamed = before.length === after.length ? before.map((name, at) => [name, after[at]] as const) : [];
  const carried = players.reduce(
    (drawn, node) =>
      renamed.reduce((one, [from, to]) => (from === to ? one : renameEnds(one, node, 'out', from, to)), drawn),
    next,
  );
  return withoutLooseWires(carried, players);
}

function outputNames(workflow: Workflow, id: string | undefined): string[] {
  const node = id === undefined ? undefined : nodeOf(workflow, id);
  return node ? portsOf(workflow, node).outputs.map((port) => port.name) : [];
}

/** Takes out the wires of these nodes that end at ports they do not have. */
export function withoutLooseWires(workflow: Workflow, touched: readonly string[]): Workflow {
  const known = new Map(
    workflow.nodes.filter((node) => touched.includes(node.id)).map((node) => [node.id, portsOf(workflow, node)]),
  );
  const holds = ({ node, port }: End, side: 'inputs' | 'outputs'): boolean =>
    known.get(node)?.[side].some((one) => one.name === port) ?? true;
  const edges = workflow.edges.filter((edge) => holds(edge.from, 'outputs') && holds(edge.to, 'inputs'));
  return edges.length === workflow.edges.length ? workflow : { ...workflow, edges };
}

/** Takes nodes out with their wires, places, and the roles that nobody plays any more. */
export function removeNodes(workflow: Workflow, ids: readonly string[]): Workflow {
  const gone = new Set(ids);
  const nodes = workflow.nodes.filter((node) => !gone.has(node.id));
  if (nodes.length === workflow.nodes.length) return workflow;
  const left = played({ ...workflow, nodes });
  const lost = Object.keys(workflow.roles).filter((role) => played(workflow).has(role) && !left.has(role));
  return withoutRoles(
    {
      ...workflow,
      nodes,
      edges: workflow.edges.filter((edge) => !gone.has(edge.from.node) && !gone.has(edge.to.node)),
      layout: Object.fromEntries(Object.entries(workflow.layout).filter(([id]) => !gone.has(id))),
    },
    lost,
  );
}

/** Roles that a node names: the one it plays, or those that write and play its team. */
export function rolesOf(node: WorkflowNode): string[] {
  if (node.kind === 'team') return [node.writer, node.player];
  return node.kind === 'role' ? [node.role] : [];
}

/** Roles that some node names, sub-workflows included. */
function played(workflow: Workflow): Set<string> {
  const parts = [workflow, ...Object.values(workflow.workflows ?? {})];
  return new Set(parts.flatMap(({ nodes }) => nodes.flatMap(rolesOf)));
}

/** Takes roles out; a reward meant for them alone goes too. */
export function withoutRoles(workflow: Workflow, lost: readonly string[]): Workflow {
  if (lost.length === 0) return workflow;
  const rules = workflow.rewards.rules.flatMap((rule) => {
    const roles = rule.roles?.filter((role) => !lost.includes(role));
    return roles?.length === 0 ? [] : [roles ? { ...rule, roles } : rule];
  });
  return {
    ...workflow,
    roles: Object.fromEntries(Object.entries(workflow.roles).filter(([id]) => !lost.includes(id))),
    rewards: { ...workflow.rewards, rules },
    casts: castsWith(workflow, (role) => (lost.includes(role) ? null : role)),
  };
}

/** The casts that are kept, with each seat renamed or, for null, taken out. */
function castsWith({ casts }: Workflow, seat: (role: string) => string | null): Workflow['casts'] {
  const seated = (roles: Readonly<Record<string, string>>): Record<string, string> =>
    Object.fromEntries(
      Object.entries(roles).flatMap(([role, policy]) => {
        const to = seat(role);
        return to === null ? [] : [[to, policy]];
      }),
    );
  return Object.fromEntries(
    Object.entries(casts).map(([name, cast]) => [name, { ...cast, roles: seated(cast.roles) }]),
  );
}

export function connect(workflow: Workflow, from: End, to: End): Workflow {
  const edge: Edge = { from: { ...from }, to: { ...to } };
  if (workflow.edges.some((one) => sameEdge(one, edge))) return workflow;
  return { ...workflow, edges: [...workflow.edges, edge] };
}

function sameEdge(a: Edge, b: Edge): boolean {
  return (
    a.from.node === b.from.node && a.from.port === b.from.port && a.to.node === b.to.node && a.to.port === b.to.port
  );
}

export function disconnect(workflow: Workflow, edge: Edge): Workflow {
  return { ...workflow, edges: workflow.edges.filter((one) => !sameEdge(one, edge)) };
}

export function playersOf(workflow: Workflow, role: string): WorkflowNode[] {
  return [workflow, ...Object.values(workflow.workflows ?? {})].flatMap(({ nodes }) =>
    nodes.filter((node) => node.kind === 'role' && node.role === role),
  );
}

export function renameEnds(workflow: Workflow, node: string, side: 'in' | 'out', from: string, to: string): Workflow {
  const end = side === 'in' ? 'to' : 'from';
  return {
    ...workflow,
    edges: workflow.edges.map((edge) =>
      edge[end].node === node && edge[end].port === from ? { ...edge, [end]: { node, port: to } } : edge,
    ),
  };
}

export function move(workflow: Workflow, places: Readonly<Record<string, Point>>): Workflow {
  const rounded = Object.entries(places).map(([id, { x, y }]) => [id, { x: Math.round(x), y: Math.round(y) }]);
  return { ...workflow, layout: { ...workflow.layout, ...Object.fromEntries(rounded) } };
}

/** Gives a node another title and an id made from it, everywhere in the drawing; `moved` is for what names it from outside. */
export function renameNode(
  workflow: Workflow,
  id: string,
  title: string,
): { workflow: Workflow; id: string; moved: Moved } {
  const node = nodeOf(workflow, id);
  if (!node) return { workflow, id, moved: (path) => path };
  const taken = workflow.nodes.map((one) => one.id).filter((one) => one !== id);
  const to = freeName(slug(title, node.kind), taken);
  const end = (one: End): End => (one.node === id ? { ...one, node: to } : one);
  const named = { ...node, id: to, title: title.trim().slice(0, 80) };
  return {
    id: to,
    moved: (path) => {
      const [head, ...rest] = path.split('.');
      return head === id ? [to, ...rest].join('.') : path;
    },
    workflow: {
      ...workflow,
      nodes: workflow.nodes.map((one) => (one.id === id ? named : one)),
      edges: workflow.edges.map((edge) => ({ from: { ...end(edge.from) }, to: { ...end(edge.to) } })),
      layout: Object.fromEntries(Object.entries(workflow.layout).map(([key, place]) => [key === id ? to : key, place])),
    },
  };
}

/** Gives a role another id and title, in nodes and rewards; its seat in the cast is the caller's to move. */
export function renameRole(workflow: Workflow, id: string, title: string): { workflow: Workflow; id: string } {
  const role = workflow.roles[id];
  if (!role) return { workflow, id };
  const to = freeName(
    slug(title, 'role'),
    Object.keys(workflow.roles).filter((one) => one !== id),
  );
  const nodes = (list: readonly WorkflowNode[]): WorkflowNode[] => list.map((node) => withRole(node, id, to));
  const parts = Object.entries(workflow.workflows ?? {}).map(([name, part]) => [
    name,
    { ...part, nodes: nodes(part.nodes) },
  ]);
  const rules = JSON.parse(
    JSON.stringify(workflow.rewards.rules, (key, value: unknown) => {
      if (key === 'role' && value === id) return to;
      return key === 'roles' && Array.isArray(value) ? value.map((one) => (one === id ? to : one)) : value;
    }),
  ) as Workflow['rewards']['rules'];
  return {
    id: to,
    workflow: {
      ...workflow,
      roles: Object.fromEntries(
        Object.entries(workflow.roles).map(([key, value]) =>
          key === id ? [to, { ...value, title: title.trim().slice(0, 80) }] : [key, value],
        ),
      ),
      nodes: nodes(workflow.nodes),
      ...(workflow.workflows ? { workflows: Object.fromEntries(parts) as Workflow['workflows'] } : {}),
      rewards: { ...workflow.rewards, rules },
      casts: castsWith(workflow, (role) => (role === id ? to : role)),
    },
  };
}

function withRole(node: WorkflowNode, from: string, to: string): WorkflowNode {
  const named = (role: string): string => (role === from ? to : role);
  if (node.kind === 'team') return { ...node, writer: named(node.writer), player: named(node.player) };
  return node.kind === 'role' ? { ...node, role: named(node.role) } : node;
}
