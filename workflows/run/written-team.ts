/**
 * A team as a role wrote it, checked before anything of it runs: it must fit the schema, be drawn without an error and keep
 * its writer's rules. Whoever wrote it is a model, so sub-workflows are counted before they are put in place, and a team
 * neither runs nor writes teams of its own.
 */
import { UserError } from '../../engine/errors.ts';
import { lint } from '../schema/lint.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import type { Port, Workflow, WorkflowNode } from '../schema/workflow.ts';
import { flatten } from './flatten.ts';
import type { TeamRules } from './team-rules.ts';

/** Sub-workflows inside one another. */
const maxDepth = 3;

/** The workflow, of which `roles`, `nodes` and `edges` (and `memory`, `workflows`) count. Throws a UserError for one that may not run. */
export function readTeam(json: unknown, rules: TeamRules): Workflow {
  if (json === null || typeof json !== 'object' || Array.isArray(json))
    throw new UserError('A team is one JSON object with roles, nodes and edges');
  const { roles, nodes, edges, memory, workflows } = json as Partial<Record<keyof Workflow, unknown>>;
  const workflow = parseWorkflow({
    troupe: 'workflow',
    version: 2,
    name: 'written',
    title: 'Written team',
    roles,
    nodes,
    edges,
    rewards: { rules: [] },
    ...(memory === undefined ? {} : { memory }),
    ...(workflows === undefined ? {} : { workflows }),
  });
  checkSize(workflow, rules.nodes);
  const wrong = lint(workflow).find(({ level }) => level === 'error');
  if (wrong) throw new UserError(wrong.message);
  const flat = flatten(workflow);
  for (const node of flat.nodes) checkNode(node, rules);
  const nested = Object.keys(flat.roles).find((role) => flat.roles[role].parser.kind === 'workflow');
  if (nested !== undefined)
    throw new UserError(`A written team writes no teams: ${nested}; give that role another format`);
  return workflow;
}

function checkSize(workflow: Workflow, most: number): void {
  const parts = workflow.workflows ?? {};
  const count = (nodes: readonly WorkflowNode[], depth: number): number => {
    if (depth > maxDepth)
      throw new UserError(`Sub-workflows stand more than ${maxDepth} deep in each other; draw some of them out`);
    let total = 0;
    for (const node of nodes) {
      total += 1;
      if (node.kind === 'workflow' && Object.hasOwn(parts, node.workflow))
        total += count(parts[node.workflow].nodes, depth + 1);
      if (total > most) throw new UserError(`The team has more than ${most} nodes; leave some out`);
    }
    return total;
  };
  count(workflow.nodes, 0);
}

function checkNode(node: WorkflowNode, { tools, inputs }: TeamRules): void {
  if (node.kind === 'team') throw new UserError(`A written team runs no teams: ${node.id}; take that node out`);
  if (node.kind === 'tool' && !tools.includes(node.tool))
    throw new UserError(
      `The team may not use this tool: ${node.tool}; ${tools.length === 0 ? 'it may use none' : `it may use ${tools.join(', ')}`}`,
    );
  if (node.kind !== 'input') return;
  const known = (port: Port) => inputs.some(({ name, type }) => name === port.name && type === port.type);
  const other = node.outputs.find((port) => !port.optional && !known(port));
  if (other !== undefined)
    throw new UserError(
      `The team is not given ${other.name} (${other.type}); it is given ${inputs.map(({ name, type }) => `${name} (${type})`).join(', ')}`,
    );
}
