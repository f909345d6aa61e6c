/** The problems of a team as its cards show them: the worst of each node, and all its sentences. */
import type { Problem } from '../../workflows/schema/problem.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { placeOf } from './fixes.ts';

export type CardProblem = { readonly level: Problem['level']; readonly messages: readonly string[] };

/** By the nodes of one drawing; what is wrong within a group is told of the group. */
export function problemsWithin(
  workflow: Workflow,
  problems: readonly Problem[],
  prefix: string,
): Readonly<Record<string, CardProblem>> {
  const found: Record<string, CardProblem> = {};
  for (const { level, at, message } of problems) {
    const path = placeOf(workflow, at);
    if (path === undefined || !path.startsWith(prefix)) continue;
    const [node] = path.slice(prefix.length).split('.');
    const before = found[node];
    found[node] = {
      level: before?.level === 'error' ? 'error' : level,
      messages: [...(before?.messages ?? []), message],
    };
  }
  return found;
}
