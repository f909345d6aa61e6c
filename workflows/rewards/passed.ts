/**
 * The score of a task whose answer is a program: whether every test passed when the workflow's unit-tests tool ran last.
 * The tool's first number output is the share of tests that passed.
 */
import { UserError } from '../../engine/errors.ts';
import type { TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';

const testsTool = 'unit-tests';

/**
 * `passed` is 1 where all tests passed, `tests` the share that did; both 0 where they never ran. `rounds` is how often that
 * node ran: 1 where the first program was the last.
 */
export function passedTests(
  workflow: Pick<Workflow, 'nodes'>,
  records: readonly TraceRecord[],
): { passed: number; tests: number; rounds: number } {
  const nodes = new Set(workflow.nodes.flatMap((node) => (runsTests(node) ? [node.id] : [])));
  const last = records.findLast((record) => nodes.has(record.node));
  const rate = Object.values(last?.outputs ?? {}).find((value) => typeof value === 'number') ?? 0;
  const rounds = records.filter((record) => record.node === last?.node).length;
  return { passed: rate >= 1 ? 1 : 0, tests: Math.min(1, Math.max(0, rate)), rounds };
}

/** Throws a UserError for a task scored by tests and a workflow that runs none. */
export function checkTested(workflow: Pick<Workflow, 'name' | 'nodes'>, task: { name: string; metric: string }): void {
  if (task.metric !== 'passed' || workflow.nodes.some(runsTests)) return;
  throw new UserError(
    `The task ${task.name} is scored by its tests, and ${workflow.name} has no node of the tool ${testsTool}; use a workflow that runs them`,
  );
}

/** Whether a node runs a program against tests. */
export function runsTests(node: Workflow['nodes'][number]): boolean {
  return node.kind === 'tool' && node.tool === testsTool;
}
