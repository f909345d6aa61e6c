/** The part of a workflow that runs when it is run up to one node: all that feeds it, and an output for what it gives. */
import { UserError } from '../../engine/errors.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { words } from '../words.ts';
import { freeName } from './names.ts';
import { portsOf } from './ports.ts';

/**
 * `path` names the node from the outside in. Throws a UserError where nothing of the node could be shown: an output's own team
 * is run whole instead.
 */
export function upTo(workflow: Workflow, path: string): Workflow {
  const [id, ...inner] = path.split('.');
  const node = workflow.nodes.find((one) => one.id === id);
  const part = node?.kind === 'workflow' ? workflow.workflows?.[node.workflow] : undefined;
  if (inner.length === 0 || node?.kind !== 'workflow' || !part) return cut(workflow, id);
  // The group runs up to its node too, under a name of its own: others that run it run it whole.
  const within = upTo({ ...workflow, nodes: part.nodes, edges: part.edges }, inner.join('.'));
  const kept = within.nodes.some((one) => one.kind === 'input');
  const start = part.nodes.filter((one) => one.kind === 'input');
  const name = freeName('here', Object.keys(within.workflows ?? {}));
  return cut(
    {
      ...workflow,
      nodes: workflow.nodes.map((one) => (one.id === id ? { ...node, workflow: name } : one)),
      workflows: {
        ...within.workflows,
        [name]: { title: part.title, nodes: kept ? within.nodes : [...start, ...within.nodes], edges: within.edges },
      },
    },
    id,
  );
}

function cut(workflow: Workflow, id: string): Workflow {
  const node = workflow.nodes.find((one) => one.id === id);
  if (!node || node.kind === 'output') return workflow;
  const kept = new Set([id]);
  const queue = [id];
  for (let at = queue.pop(); at !== undefined; at = queue.pop())
    for (const edge of workflow.edges)
      if (edge.to.node === at && !kept.has(edge.from.node)) {
        kept.add(edge.from.node);
        queue.push(edge.from.node);
      }
  const outputs = portsOf(workflow, node).outputs.filter((port) => port.type !== null);
  if (outputs.length === 0) throw new UserError(words.team.noOutputs(id));
  const end = freeName('here', [...kept]);
  return {
    ...workflow,
    nodes: [
      ...workflow.nodes.filter((one) => kept.has(one.id)),
      {
        id: end,
        kind: 'output',
        title: '',
        timeoutMs: 120_000,
        inputs: outputs.map(({ name, type }) => ({ name, type: type ?? 'json', optional: true })),
      },
    ],
    edges: [
      ...workflow.edges.filter((edge) => kept.has(edge.from.node) && kept.has(edge.to.node)),
      ...outputs.map(({ name }) => ({ from: { node: id, port: name }, to: { node: end, port: name } })),
    ],
    // Rewards speak of the whole team; a part of it earns none.
    rewards: { ...workflow.rewards, rules: [] },
    layout: {},
  };
}
