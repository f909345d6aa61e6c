/**
 * Edits of what a node takes and gives: ports, a branch's ways, fields of the memory. Wires and prompts follow a name that
 * changes, and a node keeps the one port its kind must have.
 */
import { isListType } from '../../workflows/schema/value.ts';
import type { Port, PortType, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';
import { nodeOf, playersOf, renameEnds, setNode, setRole } from './edits.ts';
import { freeName, slug } from './names.ts';
import { portsOf } from './ports.ts';

/** Node kinds whose ports of a side a person may add to. */
export function growing(node: WorkflowNode): 'in' | 'out' | null {
  if (node.kind === 'input') return 'out';
  return 'inputs' in node ? 'in' : null;
}

/** A node's own list of ports on the side it can grow; null where its ports follow from something else. */
export function ownPorts(node: WorkflowNode): readonly Port[] | null {
  if (node.kind === 'input') return node.outputs;
  return growing(node) === 'in' && 'inputs' in node ? node.inputs : null;
}

function withPorts(node: WorkflowNode, ports: Port[]): WorkflowNode {
  if (node.kind === 'input') return { ...node, outputs: ports };
  return 'inputs' in node ? { ...node, inputs: ports } : node;
}

/** Adds a port under the first free name; gives that name. A role's prompt that no other node shares reads it at once. */
export function addPort(
  workflow: Workflow,
  id: string,
  wanted: Pick<Port, 'name' | 'type'>,
): { workflow: Workflow; port: string } | null {
  const node = nodeOf(workflow, id);
  const ports = node && ownPorts(node);
  if (!node || !ports || (node.kind === 'loop' && ports.length >= 16)) return null;
  const all = portsOf(workflow, node);
  const taken = (node.kind === 'input' ? all.outputs : all.inputs).map((port) => port.name);
  const name = freeName(slug(wanted.name, 'value'), taken);
  const next = setNode(workflow, withPorts(node, [...ports, { name, type: wanted.type, optional: false }]));
  return { workflow: node.kind === 'role' ? promptReads(next, node.role, name) : next, port: name };
}

function promptReads(workflow: Workflow, id: string, port: string): Workflow {
  const role = workflow.roles[id];
  if (!role || playersOf(workflow, id).length > 1) return workflow;
  if (new RegExp(`\\{\\{\\s*${port}\\s*(\\||\\})`).test(`${role.prompt.system}\n${role.prompt.user}`)) return workflow;
  const user = role.prompt.user === '' ? `{{${port}}}` : `${role.prompt.user}\n{{${port}}}`;
  return setRole(workflow, id, { ...role, prompt: { ...role.prompt, user } });
}

/** Nodes must keep one port where the schema asks for one; null says that this is such a port. */
export function removePort(workflow: Workflow, id: string, port: string): Workflow | null {
  const node = nodeOf(workflow, id);
  const ports = node && ownPorts(node);
  if (!node || !ports?.some((one) => one.name === port)) return null;
  const least = node.kind === 'role' || node.kind === 'loop' ? 0 : 1;
  if (ports.length <= least) return null;
  const kept = withPorts(
    node,
    ports.filter((one) => one.name !== port),
  );
  return setNode(workflow, withoutEach(kept, port));
}

function withoutEach(node: WorkflowNode, port: string): WorkflowNode {
  if (node.kind !== 'role' || !node.each?.includes(port)) return node;
  const each = node.each.filter((name) => name !== port);
  return { ...node, each: each.length > 0 ? each : undefined };
}

/** Changes a port's type or whether it may stay empty. */
export function setPort(workflow: Workflow, id: string, name: string, change: Partial<Omit<Port, 'name'>>): Workflow {
  const node = nodeOf(workflow, id);
  const ports = node && ownPorts(node);
  if (!node || !ports) return workflow;
  return setNode(
    workflow,
    withPorts(
      node,
      ports.map((port) => (port.name === name ? { ...port, ...change } : port)),
    ),
  );
}

/** Renames a port with its wires and, where nobody else plays the role, the references of its prompt. */
export function renamePort(workflow: Workflow, id: string, from: string, wanted: string): Workflow {
  const node = nodeOf(workflow, id);
  const ports = node && ownPorts(node);
  if (!node || !ports?.some((port) => port.name === from)) return workflow;
  const side = node.kind === 'input' ? 'out' : 'in';
  const all = portsOf(workflow, node);
  const taken = (side === 'out' ? all.outputs : all.inputs).map((port) => port.name).filter((name) => name !== from);
  const to = freeName(slug(wanted, 'value'), taken);
  if (to === from) return workflow;
  const renamed = withPorts(
    node,
    ports.map((port) => (port.name === from ? { ...port, name: to } : port)),
  );
  const withEach: WorkflowNode =
    renamed.kind === 'role' && renamed.each
      ? { ...renamed, each: renamed.each.map((name) => (name === from ? to : name)) }
      : renamed;
  const edged = renameEnds(
    { ...workflow, nodes: workflow.nodes.map((one) => (one.id === id ? withEach : one)) },
    id,
    side,
    from,
    to,
  );
  return node.kind === 'role' && playersOf(workflow, node.role).length === 1
    ? renameReferences(edged, node.role, from, to)
    : edged;
}

function renameReferences(workflow: Workflow, id: string, from: string, to: string): Workflow {
  const role = workflow.roles[id];
  if (!role) return workflow;
  const swap = (text: string): string =>
    text.replace(/\{\{([^{}|]*)(\|[^{}]*)?\}\}/g, (whole, name: string, rest = '') =>
      name.trim() === from ? `{{${to}${rest ? ` ${rest}` : ''}}}` : whole,
    );
  const prompt = { ...role.prompt, system: swap(role.prompt.system), user: swap(role.prompt.user) };
  return { ...workflow, roles: { ...workflow.roles, [id]: { ...role, prompt } } };
}

type Router = Extract<WorkflowNode, { kind: 'router' }>;

function routerOf(workflow: Workflow, id: string): Router | null {
  const node = nodeOf(workflow, id);
  return node?.kind === 'router' ? node : null;
}

function branchNames(node: Router): string[] {
  return [...node.branches.map((branch) => branch.name), node.otherwise];
}

/** One branch more, tried after those that are there. */
export function withBranch(workflow: Workflow, id: string): Workflow {
  const node = routerOf(workflow, id);
  if (!node) return workflow;
  const name = freeName('branch', branchNames(node));
  return setNode(workflow, { ...node, branches: [...node.branches, { name, when: 'true' }] });
}

export function withoutBranch(workflow: Workflow, id: string, name: string): Workflow {
  const node = routerOf(workflow, id);
  if (!node || node.branches.length < 2) return workflow;
  return setNode(workflow, { ...node, branches: node.branches.filter((branch) => branch.name !== name) });
}

/** Renames a branch, or the way taken otherwise, with the wires that leave there. */
export function renameBranch(workflow: Workflow, id: string, from: string, wanted: string): Workflow {
  const node = routerOf(workflow, id);
  if (!node) return workflow;
  const to = freeName(
    slug(wanted, 'branch'),
    branchNames(node).filter((name) => name !== from),
  );
  const renamed: Router = {
    ...node,
    branches: node.branches.map((branch) => (branch.name === from ? { ...branch, name: to } : branch)),
    otherwise: node.otherwise === from ? to : node.otherwise,
  };
  const nodes = workflow.nodes.map((one) => (one.id === id ? renamed : one));
  return renameEnds({ ...workflow, nodes }, id, 'out', from, to);
}

/** Gives a memory field a type, or adds a field; nodes that append to it replace it where it is no list any more. */
export function setField(workflow: Workflow, name: string | null, type: PortType): Workflow {
  const fields = workflow.memory ?? {};
  const field = name ?? freeName('field', Object.keys(fields));
  const next = { ...workflow, memory: { ...fields, [field]: { type } } };
  const appends = isListType(type) || type === 'json';
  const nodes = next.nodes.map((node) =>
    node.kind === 'memory' && !appends
      ? { ...node, write: node.write.map((one) => (one.field === field ? { ...one, how: 'replace' as const } : one)) }
      : node,
  );
  return { ...next, nodes };
}
