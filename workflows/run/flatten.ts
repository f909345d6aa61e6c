/**
 * Sub-workflows are put in place before anything runs: the inner nodes stand under "<node>.<inner node>", and edges that end
 * at the outer node's ports are led through to what they mean inside. What runs is one plain graph.
 */
import { UserError } from '../../engine/errors.ts';
import type { Edge, Port, Workflow, WorkflowNode } from '../schema/workflow.ts';

type Parts = Pick<Workflow, 'nodes' | 'edges'>;
type Outer = Extract<WorkflowNode, { kind: 'workflow' }>;
type Ends = { input: Extract<WorkflowNode, { kind: 'input' }>; output: Extract<WorkflowNode, { kind: 'output' }> };

/** Most nodes a workflow may have with all its sub-workflows in place. */
const maxNodes = 2_000;

/** The workflow without sub-workflows; itself where it has none. Throws a UserError for one that cannot be put in place. */
export function flatten(workflow: Workflow): Workflow {
  if (!workflow.nodes.some((node) => node.kind === 'workflow')) return workflow;
  return { ...workflow, ...inPlace(workflow, workflow, []) };
}

/** A sub-workflow's parts and its two ends. Throws a UserError where it is missing or has not exactly one of each. */
export function subWorkflow(workflow: Pick<Workflow, 'workflows'>, node: Outer): Parts & Ends {
  const named = workflow.workflows ?? {};
  if (!Object.hasOwn(named, node.workflow))
    throw new UserError(
      `Node ${node.id} runs a sub-workflow that does not exist: ${node.workflow}; use one of ${Object.keys(named).join(', ') || 'those you define under "workflows"'}`,
    );
  const parts = named[node.workflow];
  const inputs = parts.nodes.filter((each) => each.kind === 'input');
  const outputs = parts.nodes.filter((each) => each.kind === 'output');
  if (inputs.length !== 1 || outputs.length !== 1)
    throw new UserError(
      `A sub-workflow has one input and one output (${node.workflow}): it has ${inputs.length} and ${outputs.length}; join or remove the others`,
    );
  return { ...parts, input: inputs[0], output: outputs[0] };
}

/** The ports of a node that runs a sub-workflow. */
export function subPorts(workflow: Pick<Workflow, 'workflows'>, node: Outer): { inputs: Port[]; outputs: Port[] } {
  const { input, output } = subWorkflow(workflow, node);
  return { inputs: input.outputs, outputs: output.inputs.map((port) => ({ ...port, optional: false })) };
}

function inPlace(workflow: Workflow, parts: Parts, path: readonly string[]): Parts {
  const nodes: WorkflowNode[] = [];
  let edges: Edge[] = [...parts.edges];
  for (const node of parts.nodes) {
    if (node.kind !== 'workflow') nodes.push(node);
    else {
      const inner = entered(workflow, node, path);
      nodes.push(...inner.nodes.filter((each) => each.id !== inner.start && each.id !== inner.end));
      edges = edges.map((edge) => ({
        from: edge.from.node === node.id ? { ...edge.from, node: inner.end } : edge.from,
        to: edge.to.node === node.id ? { ...edge.to, node: inner.start } : edge.to,
      }));
      edges = through(through([...edges, ...inner.edges], inner.start), inner.end);
    }
    if (nodes.length > maxNodes)
      throw new UserError(`The sub-workflows have more than ${maxNodes} nodes in all; use fewer of them`);
  }
  return { nodes, edges };
}

function entered(workflow: Workflow, node: Outer, path: readonly string[]): Parts & { start: string; end: string } {
  if (path.includes(node.workflow))
    throw new UserError(
      `A sub-workflow runs itself: ${[...path, node.workflow].join(' → ')}; take one of these nodes out`,
    );
  const { input, output, ...own } = subWorkflow(workflow, node);
  const inner = inPlace(workflow, own, [...path, node.workflow]);
  const within = (id: string): string => `${node.id}.${id}`;
  return {
    nodes: inner.nodes.map((each) => ({ ...each, id: within(each.id) })),
    edges: inner.edges.map(({ from, to }) => ({
      from: { ...from, node: within(from.node) },
      to: { ...to, node: within(to.node) },
    })),
    start: within(input.id),
    end: within(output.id),
  };
}

/** Takes a node out whose ports only hand on: each edge from it begins where the edges into that port began. */
function through(edges: readonly Edge[], id: string): Edge[] {
  return edges.flatMap((edge) => {
    if (edge.to.node === id) return [];
    if (edge.from.node !== id) return [edge];
    return edges
      .filter((into) => into.to.node === id && into.to.port === edge.from.port)
      .map((into) => ({ from: into.from, to: edge.to }));
  });
}
