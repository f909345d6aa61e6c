/**
 * What is wrong or doubtful about a workflow, as a list that a screen can show beside the place: every problem has the node,
 * role, rule or edge it is about, one sentence, and a remedy in it. Errors are what the runner would refuse.
 */
import { flatten } from '../run/flatten.ts';
import { buildGraph, portsOf, type NodePorts } from '../run/graph.ts';
import { rewardProblems } from './lint-rewards.ts';
import { expressionProblems, promptProblems } from './lint-texts.ts';
import { complaint, error, warning, type Problem, type ProblemCode, type ProblemPlace } from './problem.ts';
import type { RewardRule } from './reward.ts';
import type { Edge, Workflow, WorkflowNode } from './workflow.ts';
import { fits, isListType } from './value.ts';

export type { Problem, ProblemCode } from './problem.ts';

/** Every problem, errors first, otherwise in the workflow's order. Never throws for a workflow that fits the schema. */
export function lint(workflow: Workflow): Problem[] {
  const problems = drawnProblems(workflow);
  for (const [name, part] of Object.entries(workflow.workflows ?? {})) {
    const runs = workflow.nodes.find((node) => node.kind === 'workflow' && node.workflow === name);
    problems.push(
      ...drawnProblems({ ...workflow, nodes: part.nodes, edges: part.edges }).map((problem) => ({
        ...problem,
        at: runs === undefined ? {} : { node: runs.id, within: { part: name, at: problem.at } },
        message: `In the sub-workflow ${name}: ${problem.message}`,
      })),
    );
  }
  const flat = complaint(() => flatten(workflow)) === null ? flatten(workflow) : workflow;
  const inFlat = [...promptProblems(flat), ...expressionProblems(flat), ...rewardProblems(flat)];
  problems.push(...inFlat.map((problem) => ({ ...problem, at: asDrawn(workflow, workflow, problem.at) })));
  if (!problems.some((problem) => problem.level === 'error')) problems.push(...graphProblems(workflow));
  problems.push(...reachProblems(workflow));
  return [
    ...problems.filter((problem) => problem.level === 'error'),
    ...problems.filter((problem) => problem.level === 'warning'),
  ];
}

/** Where a problem of the workflow without sub-workflows stands in what was drawn. */
function asDrawn(workflow: Workflow, { nodes }: Pick<Workflow, 'nodes'>, at: ProblemPlace): ProblemPlace {
  const [head, ...rest] = at.node?.split('.') ?? [];
  if (rest.length === 0) return at;
  const runs = nodes.find((node) => node.id === head);
  const part = runs?.kind === 'workflow' ? workflow.workflows?.[runs.workflow] : undefined;
  if (runs?.kind !== 'workflow' || !part) return { ...at, node: head };
  const inner = asDrawn(workflow, part, { ...at, node: rest.join('.') });
  return { ...at, node: head, within: { part: runs.workflow, at: inner } };
}

function drawnProblems(workflow: Workflow): Problem[] {
  const ports = allPorts(workflow);
  return [...nodeProblems(workflow), ...edgeProblems(workflow, ports), ...connectionProblems(workflow, ports)];
}

function allPorts(workflow: Workflow): Map<string, NodePorts> {
  const found = new Map<string, NodePorts>();
  for (const node of workflow.nodes) {
    if (complaint(() => portsOf(workflow, node)) === null) found.set(node.id, portsOf(workflow, node));
  }
  return found;
}

function nodeProblems(workflow: Workflow): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const node of workflow.nodes) {
    if (seen.has(node.id))
      problems.push(error('duplicate-node', { node: node.id }, `Two nodes have the same id: ${node.id}; rename one`));
    seen.add(node.id);
    const message = complaint(() => portsOf(workflow, node));
    if (message !== null) problems.push(error(portProblem(node), { node: node.id }, message));
    problems.push(...duplicatePorts(node, message === null ? portsOf(workflow, node) : null));
  }
  for (const kind of ['input', 'output'] as const) {
    if (!workflow.nodes.some((node) => node.kind === kind))
      problems.push(error(`no-${kind}`, {}, `The workflow has no ${kind} node; add one`));
  }
  return problems;
}

function portProblem({ kind }: WorkflowNode): ProblemCode {
  if (kind === 'tool' || kind === 'memory') return kind;
  return kind === 'workflow' ? 'sub-workflow' : 'unknown-role';
}

function duplicatePorts(node: WorkflowNode, ports: NodePorts | null): Problem[] {
  if (ports === null) return [];
  return [ports.inputs, ports.outputs].flatMap((list) => {
    const twice = list.find((port, index) => list.findIndex((each) => each.name === port.name) < index);
    return twice === undefined
      ? []
      : [
          error(
            'unknown-port',
            { node: node.id },
            `Two ports of ${node.id} have the same name: ${twice.name}; rename one`,
          ),
        ];
  });
}

function edgeProblems(workflow: Workflow, ports: ReadonlyMap<string, NodePorts>): Problem[] {
  return workflow.edges.flatMap((edge, index) => {
    const at = { edge: index, node: edge.to.node };
    const shown = show(edge);
    const known = new Set(workflow.nodes.map((node) => node.id));
    for (const end of [edge.from.node, edge.to.node])
      if (!known.has(end))
        return [
          error(
            'unknown-port',
            at,
            `An edge ends at a node that does not exist (${shown}): ${end}; remove it or add the node`,
          ),
        ];
    const [from, to] = [ports.get(edge.from.node), ports.get(edge.to.node)];
    if (from === undefined || to === undefined) return []; // said at the node
    const source = from.outputs.find((port) => port.name === edge.from.port);
    const target = to.inputs.find((port) => port.name === edge.to.port);
    if (source === undefined)
      return [
        error(
          'unknown-port',
          at,
          `${edge.from.node} has no output port of this name: ${edge.from.port}; it has ${list(from.outputs)}`,
        ),
      ];
    if (target === undefined)
      return [
        error(
          'unknown-port',
          at,
          `${edge.to.node} has no input port of this name: ${edge.to.port}; it has ${list(to.inputs)}`,
        ),
      ];
    if (!fits(source.type, target.type))
      return [
        error(
          'type-mismatch',
          at,
          `An edge joins ports of different types (${source.type} into ${target.type}): ${shown}; put a compute node between them`,
        ),
      ];
    return [];
  });
}

function connectionProblems(workflow: Workflow, ports: ReadonlyMap<string, NodePorts>): Problem[] {
  return workflow.nodes.flatMap((node) =>
    (ports.get(node.id)?.inputs ?? []).flatMap((port) => {
      const edges = workflow.edges.filter((edge) => edge.to.node === node.id && edge.to.port === port.name);
      if (edges.length === 0 && !port.optional)
        return [
          error(
            'unconnected',
            { node: node.id },
            `Nothing is connected to ${node.id}.${port.name}; connect it or make the port optional`,
          ),
        ];
      if (edges.length < 2 || isListType(port.type)) return [];
      return edges.every((edge) => chosen(workflow, edge.from.node))
        ? []
        : [
            warning(
              'several-values',
              { node: node.id },
              `Several edges may bring a value to ${node.id}.${port.name} and only the first counts; give each its own port, or make the port a list`,
            ),
          ];
    }),
  );
}

/** Whether a node lies behind a router or loop, so that its value may well not come. */
function chosen(workflow: Workflow, id: string): boolean {
  const choosers = new Set(
    workflow.nodes.filter((node) => node.kind === 'router' || node.kind === 'loop').map((node) => node.id),
  );
  return [...reach(workflow.edges, [id], 'back')].some((each) => choosers.has(each));
}

function graphProblems(workflow: Workflow): Problem[] {
  const message = complaint(() => buildGraph(workflow));
  const loops = workflow.nodes.filter((node) => node.kind === 'loop');
  const problems = loops.flatMap((loop): Problem[] => {
    const leaves = (port: string): boolean =>
      workflow.edges.some((edge) => edge.from.node === loop.id && edge.from.port === port);
    const closes = workflow.edges.some((edge) => edge.to.node === loop.id && edge.to.port === 'again');
    if (!closes || !leaves('body'))
      return [
        warning(
          'loop-exit',
          { node: loop.id },
          `The loop ${loop.id} never goes round; connect its body, and something inside to again`,
        ),
      ];
    return leaves('done')
      ? []
      : [
          warning(
            'loop-exit',
            { node: loop.id },
            `The loop ${loop.id} has no way on when it ends; connect its done port`,
          ),
        ];
  });
  return message === null ? problems : [error('circle', {}, message), ...problems];
}

function reachProblems(workflow: Workflow): Problem[] {
  const starts = workflow.nodes.filter((node) => node.kind === 'input').map((node) => node.id);
  const measured = new Set(workflow.rewards.rules.flatMap(measuredNodes));
  const ends = workflow.nodes.filter((node) => node.kind === 'output' || measured.has(node.id)).map((node) => node.id);
  const [fromStart, toEnd] = [reach(workflow.edges, starts, 'on'), reach(workflow.edges, ends, 'back')];
  // Where there is no beginning or no end yet, that alone is the problem.
  return workflow.nodes.flatMap((node) => {
    if (starts.length > 0 && !fromStart.has(node.id))
      return [
        warning(
          'unreachable',
          { node: node.id },
          `No value from the input reaches ${node.id}; connect it or remove it`,
        ),
      ];
    const writes = node.kind === 'memory' && node.write.length > 0;
    if (ends.length > 0 && !toEnd.has(node.id) && !writes)
      return [
        warning(
          'unused',
          { node: node.id },
          `Nothing that ${node.id} makes reaches an output; connect it or remove it`,
        ),
      ];
    return [];
  });
}

/** Nodes whose values a reward reads. */
function measuredNodes({ value }: RewardRule): string[] {
  const series = value.kind === 'cure' ? [value.matrix, value.truth] : 'of' in value ? [value.of] : [];
  return series.flatMap((each) => ('node' in each ? [each.node.split('.')[0]] : []));
}

function reach(edges: readonly Edge[], from: readonly string[], way: 'on' | 'back'): Set<string> {
  const seen = new Set(from);
  const queue = [...from];
  for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
    for (const edge of edges) {
      const [near, far] = way === 'on' ? [edge.from.node, edge.to.node] : [edge.to.node, edge.from.node];
      if (near !== id || seen.has(far)) continue;
      seen.add(far);
      queue.push(far);
    }
  }
  return seen;
}

function show(edge: Edge): string {
  return `${edge.from.node}.${edge.from.port} → ${edge.to.node}.${edge.to.port}`;
}

function list(ports: readonly { name: string }[]): string {
  return ports.map((port) => port.name).join(', ') || 'none';
}
