/**
 * Copied nodes as plain JSON text: the nodes, the wires between them, and the roles, memory fields and sub-workflows they
 * need. What is pasted comes from anywhere, so it is checked like a file; its names give way to those already there.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { placeOf, reasonOf, tooDeep } from '../../workflows/schema/migrate.ts';
import {
  edgeSchema,
  idSchema,
  layoutSchema,
  memoryFieldSchema,
  nodeSchema,
  roleSchema,
  subWorkflowSchema,
  type Workflow,
  type WorkflowNode,
} from '../../workflows/schema/workflow.ts';
import type { Point } from '../graph/scene.ts';
import { rolesOf } from './edits.ts';
import { freeName } from './names.ts';

const MOST_CHARS = 2_000_000;

const partSchema = z.object({
  troupe: z.literal('part'),
  version: z.literal(1),
  roles: z.record(idSchema, roleSchema).default({}),
  nodes: z.array(nodeSchema).min(1).max(500),
  edges: z.array(edgeSchema).max(2_000).default([]),
  memory: z.record(idSchema, memoryFieldSchema).default({}),
  workflows: z.record(idSchema, subWorkflowSchema).default({}),
  layout: layoutSchema.default({}),
});
type Part = z.infer<typeof partSchema>;

function picked<T>(from: Readonly<Record<string, T>> | undefined, names: Iterable<string>): Record<string, T> {
  return Object.fromEntries(
    [...names].flatMap((name) => (from && Object.hasOwn(from, name) ? [[name, from[name]]] : [])),
  );
}

/** Sub-workflows that nodes run, those inside them included. */
function needed(workflow: Workflow, nodes: readonly WorkflowNode[], found = new Set<string>()): Set<string> {
  for (const node of nodes) {
    if (node.kind !== 'workflow' || found.has(node.workflow)) continue;
    found.add(node.workflow);
    needed(workflow, workflow.workflows?.[node.workflow]?.nodes ?? [], found);
  }
  return found;
}

/** The named nodes as text; `places` is where they stand now. */
export function copied(workflow: Workflow, ids: readonly string[], places: Readonly<Record<string, Point>>): string {
  const wanted = new Set(ids);
  const nodes = workflow.nodes.filter((node) => wanted.has(node.id));
  const subs = picked(workflow.workflows, needed(workflow, nodes));
  const all = [...nodes, ...Object.values(subs).flatMap((sub) => sub.nodes)];
  const part: Part = {
    troupe: 'part',
    version: 1,
    roles: picked(workflow.roles, all.flatMap(rolesOf)),
    nodes,
    edges: workflow.edges.filter((edge) => wanted.has(edge.from.node) && wanted.has(edge.to.node)),
    memory: picked(
      workflow.memory,
      all.flatMap((node) => (node.kind === 'memory' ? [...node.read, ...node.write.map(({ field }) => field)] : [])),
    ),
    workflows: subs,
    layout: picked(places, ids),
  };
  return JSON.stringify(part, null, 2);
}

/** Whether a text claims to be copied nodes; any other text is none of ours. */
export function looksCopied(text: string): boolean {
  return /^\s*\{\s*"troupe":\s*"part"/.test(text);
}

function readPart(text: string): Part {
  if (text.length > MOST_CHARS)
    throw new UserError(`What was copied is longer than ${MOST_CHARS} characters: ${text.length}; copy fewer nodes`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new UserError('What was copied is not whole: the JSON ends too early or is damaged; copy the nodes again');
  }
  if (tooDeep(json)) throw new UserError('What was copied is nested too deep to be nodes; copy the nodes again');
  const read = partSchema.safeParse(json);
  if (read.success) return read.data;
  const issue = read.error.issues[0];
  throw new UserError(`What was copied does not fit at ${placeOf(issue)} (${reasonOf(issue)}); copy the nodes again`);
}

/** New names for those that are taken. */
function renaming(names: readonly string[], taken: readonly string[]): Map<string, string> {
  const used = [...taken];
  return new Map(
    names.map((name) => {
      const free = freeName(name, used);
      used.push(free);
      return [name, free];
    }),
  );
}

/**
 * Puts copied nodes into a workflow. Roles and sub-workflows come as copies of their own; memory fields of the same name
 * and type are shared. `at` is where the middle of them goes; without it they stand a little beside where they stood.
 * Throws a UserError for a text that is no such copy.
 */
export function pasted(workflow: Workflow, text: string, at: Point | null): { workflow: Workflow; ids: string[] } {
  const part = readPart(text);
  const ids = renaming(
    part.nodes.map((node) => node.id),
    workflow.nodes.map((node) => node.id),
  );
  const roles = renaming(Object.keys(part.roles), Object.keys(workflow.roles));
  const subs = renaming(Object.keys(part.workflows), Object.keys(workflow.workflows ?? {}));
  const inner = (node: WorkflowNode): WorkflowNode => {
    if (node.kind === 'role') return { ...node, role: roles.get(node.role) ?? node.role };
    if (node.kind === 'team')
      return {
        ...node,
        writer: roles.get(node.writer) ?? node.writer,
        player: roles.get(node.player) ?? node.player,
      };
    return node.kind === 'workflow' ? { ...node, workflow: subs.get(node.workflow) ?? node.workflow } : node;
  };
  const named = (id: string): string => ids.get(id) ?? id;
  const nodes = part.nodes.map((node) => ({ ...inner(node), id: named(node.id) }));
  if (workflow.nodes.length + nodes.length > 500)
    throw new UserError(`A workflow has at most 500 nodes: ${workflow.nodes.length + nodes.length}; paste fewer`);
  const edges = part.edges.map(({ from, to }) => ({
    from: { ...from, node: named(from.node) },
    to: { ...to, node: named(to.node) },
  }));
  const parts = Object.entries(part.workflows).map(([name, sub]) => [
    subs.get(name) ?? name,
    { ...sub, nodes: sub.nodes.map(inner) },
  ]);
  const renamed = Object.entries(part.roles).map(([name, role]) => [roles.get(name) ?? name, role]);
  const hasMemory = Object.keys(part.memory).length > 0;
  return {
    ids: nodes.map((node) => node.id),
    workflow: {
      ...workflow,
      nodes: [...workflow.nodes, ...nodes],
      edges: [...workflow.edges, ...edges],
      roles: { ...workflow.roles, ...(Object.fromEntries(renamed) as Workflow['roles']) },
      ...(hasMemory ? { memory: { ...part.memory, ...workflow.memory } } : {}),
      ...(parts.length > 0
        ? { workflows: { ...workflow.workflows, ...(Object.fromEntries(parts) as Workflow['workflows']) } }
        : {}),
      layout: { ...workflow.layout, ...placed(part.layout, named, at) },
    },
  };
}

function placed(layout: Part['layout'], named: (id: string) => string, at: Point | null): Record<string, Point> {
  const points = Object.values(layout);
  if (points.length === 0) return {};
  const middle = {
    x: (Math.min(...points.map(({ x }) => x)) + Math.max(...points.map(({ x }) => x))) / 2,
    y: (Math.min(...points.map(({ y }) => y)) + Math.max(...points.map(({ y }) => y))) / 2,
  };
  const by = at ? { x: at.x - middle.x, y: at.y - middle.y } : { x: 40, y: 40 };
  return Object.fromEntries(
    Object.entries(layout).map(([id, { x, y }]) => [named(id), { x: Math.round(x + by.x), y: Math.round(y + by.y) }]),
  );
}
