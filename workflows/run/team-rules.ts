/**
 * What a team node is given, and by which rules the team it runs was written: those of its writer's output format.
 */
import { UserError } from '../../engine/errors.ts';
import type { Parser, Port, Workflow, WorkflowNode } from '../schema/workflow.ts';

export type TeamNode = Extract<WorkflowNode, { kind: 'team' }>;
export type TeamRules = Pick<Extract<Parser, { kind: 'workflow' }>, 'tools' | 'inputs' | 'nodes'>;

/** The rules of a team node. Throws a UserError where its writer writes no team or its player is no role. */
export function teamRules({ roles }: Pick<Workflow, 'roles'>, { id, writer, player }: TeamNode): TeamRules {
  const missing = [writer, player].find((role) => !Object.hasOwn(roles, role));
  if (missing !== undefined)
    throw new UserError(
      `Node ${id} names a role that does not exist: ${missing}; use one of ${Object.keys(roles).join(', ') || 'the roles you define'}`,
    );
  const { parser } = roles[writer];
  if (parser.kind === 'workflow') return parser;
  throw new UserError(
    `Node ${id} runs what ${writer} writes, and that is no team: its output format is ${parser.kind}; give that role the format workflow`,
  );
}

export function teamPorts(workflow: Pick<Workflow, 'roles'>, node: TeamNode): { inputs: Port[]; outputs: Port[] } {
  return {
    inputs: [{ name: 'team', type: 'json', optional: false }, ...teamRules(workflow, node).inputs],
    outputs: [{ name: 'answer', type: 'text', optional: false }],
  };
}
