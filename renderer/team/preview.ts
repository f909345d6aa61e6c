/**
 * A role's messages as a question would make them: with what a node read in the last run where there is one, the question
 * itself where it is wired to the input, and the name of a value that is not known yet.
 */
import { UserError } from '../../engine/errors.ts';
import type { ChatMessage } from '../../engine/protocol.ts';
import { renderPrompt } from '../../workflows/run/prompt.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import type { Values } from '../../workflows/schema/value.ts';
import type { Role, Workflow, WorkflowNode } from '../../workflows/schema/workflow.ts';

export type Preview = {
  readonly messages: readonly ChatMessage[];
  readonly unknown: readonly string[];
  readonly problem: string | null;
};

type RoleNode = Extract<WorkflowNode, { kind: 'role' }>;

export function previewOf(
  workflow: Workflow,
  node: RoleNode,
  role: Role,
  question: string,
  last: Trace | null,
): Preview {
  const seen = last?.records.find((record) => record.node === node.id)?.inputs ?? {};
  const values: Values = {};
  const unknown: string[] = [];
  for (const { name } of node.inputs) {
    const asked = fromQuestion(workflow, node.id, name);
    if (Object.hasOwn(seen, name) && last?.query.question === question) values[name] = seen[name] as Values[string];
    else if (asked && question !== '') values[name] = question;
    else if (Object.hasOwn(seen, name)) values[name] = seen[name] as Values[string];
    else {
      values[name] = `‹${name}›`;
      unknown.push(name);
    }
  }
  try {
    return { messages: renderPrompt(role, values), unknown, problem: null };
  } catch (failure) {
    if (!(failure instanceof UserError)) throw failure;
    return { messages: [], unknown, problem: failure.message };
  }
}

function fromQuestion(workflow: Workflow, node: string, port: string): boolean {
  const edge = workflow.edges.find((one) => one.to.node === node && one.to.port === port);
  const source = edge && workflow.nodes.find((one) => one.id === edge.from.node);
  return source?.kind === 'input' && edge?.from.port === 'question';
}
