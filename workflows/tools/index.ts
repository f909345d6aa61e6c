/**
 * The tools a workflow may name, and how a tool node's settings are checked.
 */
import { UserError } from '../../engine/errors.ts';
import type { WorkflowNode } from '../schema/workflow.ts';
import { bm25 } from './bm25.ts';
import { calculator } from './calculator.ts';
import { majorityVote } from './majority-vote.ts';
import { javascript, python } from './program.ts';
import { searchProgram } from './search-program.ts';
import { unitTests } from './unit-tests.ts';
import { webFetch } from './web-fetch.ts';
import type { Values } from '../schema/value.ts';
import type { Tool, ToolContext, ToolPorts } from './tool.ts';

export { ToolError, type ToolContext } from './tool.ts';

/** A tool with one node's settings put in. */
export type OpenTool = {
  name: string;
  ports: ToolPorts;
  run(inputs: Values, context: ToolContext): Values | Promise<Values>;
};

type Entry = {
  tool: Pick<Tool<unknown>, 'name' | 'title' | 'description' | 'settings'>;
  open(settings: unknown): OpenTool;
};

const entries: readonly Entry[] = [
  entry(bm25),
  entry(javascript),
  entry(python),
  entry(searchProgram),
  entry(unitTests),
  entry(calculator),
  entry(majorityVote),
  entry(webFetch),
];

export const tools: readonly Entry['tool'][] = entries.map((each) => each.tool);

/** The tool of a tool node. Throws a UserError for an unknown tool or settings it does not take. */
export function openTool(node: Extract<WorkflowNode, { kind: 'tool' }>): OpenTool {
  const found = entries.find((each) => each.tool.name === node.tool);
  if (found === undefined)
    throw new UserError(
      `There is no tool of this name (node ${node.id}): ${node.tool}; use one of ${tools.map((tool) => tool.name).join(', ')}`,
    );
  const settings = found.tool.settings.safeParse(node.settings);
  if (!settings.success) {
    const issue = settings.error.issues[0];
    throw new UserError(
      `The tool ${node.tool} does not take this setting (node ${node.id}, ${issue.path.join('.') || 'settings'}: ${issue.message}); change it in the node's settings`,
    );
  }
  return found.open(settings.data);
}

function entry<Settings>(tool: Tool<Settings>): Entry {
  return {
    tool,
    open(given) {
      const settings = given as Settings; // what the tool's own schema returned
      return {
        name: tool.name,
        ports: tool.ports(settings),
        run: (inputs, context) => tool.run(inputs, settings, context),
      };
    },
  };
}
