/**
 * A workflow's graph made ready to run: every node with its ports and edges, and the nodes ordered into a plan in which a
 * cycle is one unit. A cycle is entered through exactly one loop node, whose `again` closes it; inside, the same holds for
 * the cycles that remain when that loop node is taken out. What cannot be ordered so is a UserError.
 */
import { UserError } from '../../engine/errors.ts';
import { fits } from '../schema/value.ts';
import type { Edge, Port, Workflow, WorkflowNode } from '../schema/workflow.ts';
import { openTool, type OpenTool } from '../tools/index.ts';
import { asksOften } from './calls.ts';
import { listOf } from './carry.ts';
import { flatten, subPorts } from './flatten.ts';
import { memoryPorts, openMemory } from './memory.ts';
import { parsedPorts } from './parsed-ports.ts';
import { teamPorts } from './team-rules.ts';

export type NodePorts = { inputs: Port[]; outputs: Port[] };

export type GraphNode = NodePorts & {
  node: WorkflowNode;
  tool: OpenTool | null;
  /** Incoming edges by input port, outgoing by output port: indices into `graph.edges`. */
  incoming: Record<string, number[]>;
  outgoing: Record<string, number[]>;
};

export type Graph = { workflow: Workflow; nodes: Map<string, GraphNode>; edges: readonly Edge[]; steps: Step[] };

/** A node, or a whole cycle named after its loop node, and the steps of the same level that must be settled before it. */
export type Step = { id: string; after: readonly string[] } & (
  { kind: 'node' } | { kind: 'cycle'; body: Step[]; members: ReadonlySet<string> }
);

/** The ports of a node. Throws a UserError for an unknown role or tool. */
export function portsOf(workflow: Pick<Workflow, 'roles' | 'memory' | 'workflows'>, node: WorkflowNode): NodePorts {
  switch (node.kind) {
    case 'input':
      return { inputs: [], outputs: node.outputs };
    case 'role': {
      const role = workflow.roles[node.role];
      if (role === undefined)
        throw new UserError(
          `Node ${node.id} plays a role that does not exist: ${node.role}; use one of ${Object.keys(workflow.roles).join(', ') || 'the roles you define'}`,
        );
      const outputs = parsedPorts(role.parser);
      return {
        inputs: eachAsList(node.inputs, node.each, node.id),
        outputs: asksOften(node) ? asLists(outputs) : outputs,
      };
    }
    case 'tool': {
      const { inputs, outputs } = openTool(node).ports;
      return node.each === undefined
        ? { inputs, outputs }
        : { inputs: eachAsList(inputs, node.each, node.id), outputs: asLists(outputs) };
    }
    case 'memory':
      return memoryPorts(workflow.memory, node);
    case 'workflow':
      return subPorts(workflow, node);
    case 'router': {
      const names = [...node.branches.map((branch) => branch.name), node.otherwise];
      return {
        inputs: node.inputs,
        outputs: [...new Set(names)].map((name) => ({ name, type: node.inputs[0].type, optional: false })),
      };
    }
    case 'loop': {
      const port = (name: string, optional = false): Port => ({ name, type: node.type, optional });
      return { inputs: [port('in'), port('again', true), ...node.inputs], outputs: [port('body'), port('done')] };
    }
    case 'compute':
      return { inputs: node.inputs, outputs: [node.output] };
    case 'team':
      return teamPorts(workflow, node);
    case 'output':
      return { inputs: node.inputs, outputs: [] };
    default:
      return node satisfies never;
  }
}

function asLists(ports: readonly Port[]): Port[] {
  return ports.map((port) => ({ ...port, type: listOf(port.type) }));
}

/** Ports taken item by item receive lists of what they declare. */
function eachAsList(ports: readonly Port[], each: readonly string[] | undefined, node: string): Port[] {
  const missing = each?.find((name) => !ports.some((port) => port.name === name));
  if (missing !== undefined)
    throw new UserError(
      `Node ${node} takes a port item by item that it does not have: ${missing}; name one of ${names(ports)}`,
    );
  return ports.map((port) => (each?.includes(port.name) ? { ...port, type: listOf(port.type) } : port));
}

/** Makes a workflow ready to run. Throws a UserError naming the node or edge that cannot work. */
export function buildGraph(drawn: Workflow): Graph {
  const workflow = flatten(drawn);
  openMemory(workflow.memory);
  const nodes = new Map<string, GraphNode>();
  for (const node of workflow.nodes) {
    if (nodes.has(node.id)) throw new UserError(`Two nodes have the same id: ${node.id}; rename one`);
    nodes.set(node.id, {
      node,
      tool: node.kind === 'tool' ? openTool(node) : null,
      ...portsOf(workflow, node),
      incoming: {},
      outgoing: {},
    });
  }
  workflow.edges.forEach((edge, index) => connect(nodes, edge, index));
  for (const each of nodes.values()) requireInputs(each);
  return { workflow, nodes, edges: workflow.edges, steps: order(nodes, workflow.edges, new Set(nodes.keys())) };
}

function connect(nodes: ReadonlyMap<string, GraphNode>, edge: Edge, index: number): void {
  const shown = `${edge.from.node}.${edge.from.port} → ${edge.to.node}.${edge.to.port}`;
  const from = nodes.get(edge.from.node);
  const to = nodes.get(edge.to.node);
  if (from === undefined || to === undefined)
    throw new UserError(`An edge ends at a node that does not exist: ${shown}; remove it or add the node`);
  if (!from.outputs.some((port) => port.name === edge.from.port))
    throw new UserError(
      `An edge starts at a port that does not exist: ${shown}; ${edge.from.node} has ${names(from.outputs)}`,
    );
  if (!to.inputs.some((port) => port.name === edge.to.port))
    throw new UserError(
      `An edge ends at a port that does not exist: ${shown}; ${edge.to.node} has ${names(to.inputs)}`,
    );
  const [source, target] = [
    from.outputs.find((port) => port.name === edge.from.port)!,
    to.inputs.find((port) => port.name === edge.to.port)!,
  ];
  if (!fits(source.type, target.type))
    throw new UserError(
      `An edge joins ports of different types (${source.type} into ${target.type}): ${shown}; put a compute node between them`,
    );
  (from.outgoing[edge.from.port] ??= []).push(index);
  (to.incoming[edge.to.port] ??= []).push(index);
}

function names(ports: readonly Port[]): string {
  return ports.map((port) => port.name).join(', ') || 'none';
}

function requireInputs({ node, inputs, incoming }: GraphNode): void {
  for (const port of inputs) {
    if (!port.optional && incoming[port.name] === undefined)
      throw new UserError(`Nothing is connected to ${node.id}.${port.name}; connect it or make the port optional`);
  }
}

/** Orders `members` into steps, in topological order. */
function order(nodes: ReadonlyMap<string, GraphNode>, edges: readonly Edge[], members: ReadonlySet<string>): Step[] {
  const groups = components(edges, members);
  const groupOf = new Map<string, string>();
  for (const group of groups) for (const id of group.ids) groupOf.set(id, group.ids[0]);
  const steps = groups.map((group): Step => {
    const inside = new Set(group.ids);
    const after = edges
      .filter((edge) => inside.has(edge.to.node) && members.has(edge.from.node) && !inside.has(edge.from.node))
      .map((edge) => groupOf.get(edge.from.node)!);
    const shared = { after: [...new Set(after)] };
    if (!group.cyclic) return { kind: 'node', id: group.ids[0], ...shared };
    return { ...cycle(nodes, edges, inside), ...shared };
  });
  return rename(steps, groups);
}

/** Steps are named after their node or loop node; `after` was written in terms of each group's first node. */
function rename(steps: readonly Step[], groups: readonly Component[]): Step[] {
  const names = new Map(steps.map((step, index) => [groups[index].ids[0], step.id]));
  return steps.map((step) => ({ ...step, after: step.after.map((id) => names.get(id)!) }));
}

function cycle(
  nodes: ReadonlyMap<string, GraphNode>,
  edges: readonly Edge[],
  inside: ReadonlySet<string>,
): Step & { kind: 'cycle' } {
  const shown = [...inside].join(', ');
  const entered = (id: string): boolean =>
    edges.some((edge) => edge.to.node === id && edge.to.port === 'in' && !inside.has(edge.from.node));
  const headers = [...inside].filter((id) => nodes.get(id)?.node.kind === 'loop' && entered(id));
  if (headers.length === 0)
    throw new UserError(
      `These nodes wait for each other for ever: ${shown}; let the circle begin and close at a loop node (in from outside, again from inside)`,
    );
  if (headers.length > 1)
    throw new UserError(`Two loops share one circle: ${headers.join(', ')}; put one wholly inside the other`);
  const header = headers[0];
  const back = edges.find((edge) => edge.from.node === header && edge.from.port === 'done' && inside.has(edge.to.node));
  if (back !== undefined)
    throw new UserError(
      `The end of a loop leads back into it: ${header}.done → ${back.to.node}; take ${back.to.node} from ${header}.body`,
    );
  const wrong = edges.find((edge) => edge.to.node === header && edge.to.port === 'in' && inside.has(edge.from.node));
  if (wrong !== undefined)
    throw new UserError(
      `The inside of a loop leads to its beginning: ${wrong.from.node} → ${header}.in; connect it to ${header}.again`,
    );
  const body = new Set([...inside].filter((id) => id !== header));
  return { kind: 'cycle', id: header, after: [], body: order(nodes, edges, body), members: inside };
}

type Component = { ids: string[]; cyclic: boolean };

/** Strongly connected components in topological order, ids in file order (Tarjan 1972, without recursion). */
function components(edges: readonly Edge[], members: ReadonlySet<string>): Component[] {
  const next = new Map<string, string[]>([...members].map((id) => [id, []]));
  for (const edge of edges)
    if (members.has(edge.from.node) && members.has(edge.to.node)) next.get(edge.from.node)!.push(edge.to.node);
  const rank = new Map([...members].map((id, index) => [id, index]));
  const found: Component[] = [];
  const indexOf = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  for (const root of [...members].reverse()) if (!indexOf.has(root)) explore(root);
  return found.reverse();

  function enter(id: string): void {
    indexOf.set(id, indexOf.size);
    low.set(id, indexOf.size - 1);
    stack.push(id);
    onStack.add(id);
  }
  function leave(id: string): void {
    if (low.get(id) !== indexOf.get(id)) return;
    const ids = stack.splice(stack.indexOf(id));
    for (const each of ids) onStack.delete(each);
    found.push({
      ids: ids.sort((a, c) => rank.get(a)! - rank.get(c)!),
      cyclic: ids.length > 1 || next.get(id)!.includes(id),
    });
  }
  function explore(root: string): void {
    const path: { id: string; at: number }[] = [{ id: root, at: 0 }];
    enter(root);
    while (path.length > 0) {
      const top = path[path.length - 1];
      const child = next.get(top.id)![top.at++];
      if (child === undefined) {
        path.pop();
        const parent = path[path.length - 1];
        if (parent !== undefined) low.set(parent.id, Math.min(low.get(parent.id)!, low.get(top.id)!));
        leave(top.id);
      } else if (!indexOf.has(child)) {
        enter(child);
        path.push({ id: child, at: 0 });
      } else if (onStack.has(child)) {
        low.set(top.id, Math.min(low.get(top.id)!, indexOf.get(child)!));
      }
    }
  }
}
