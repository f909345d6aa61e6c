/**
 * What is wrong or doubtful about who plays a workflow: roles that nobody plays, and casts with which nothing, or nothing new,
 * would be learned. These are about a run to come; the workflow itself may be without fault.
 */
import { error, warning, type Problem } from './problem.ts';
import type { Cast } from './cast.ts';
import type { Workflow } from './workflow.ts';

export function castProblems(workflow: Pick<Workflow, 'roles'>, cast: Cast): Problem[] {
  const roles = Object.keys(workflow.roles);
  const policyOf = (role: string) =>
    Object.hasOwn(cast.roles, role) && Object.hasOwn(cast.policies, cast.roles[role])
      ? cast.policies[cast.roles[role]]
      : undefined;
  const unplayed = roles
    .filter((role) => policyOf(role) === undefined)
    .map((role) => error('no-policy', { role }, `Nobody plays the role ${role}; give it a policy on the cast board`));
  const learning = roles.filter((role) => policyOf(role)?.frozen === false);
  if (roles.length > 0 && unplayed.length === 0 && learning.length === 0)
    return [
      warning(
        'untrainable',
        { policy: cast.roles[roles[0]] },
        `Every policy is frozen or answered by somebody else, so training would learn nothing; let one train: ${Object.keys(cast.policies).join(', ')}`,
      ),
    ];
  return [...unplayed, ...learning.flatMap((role) => withoutChoice(workflow, role))];
}

/** Where a model can only say one thing, rewards have nothing to choose between. */
function withoutChoice({ roles }: Pick<Workflow, 'roles'>, role: string): Problem[] {
  const { temperature, topK } = roles[role].sampling;
  if (temperature > 0 && topK !== 1) return [];
  const why = temperature === 0 ? 'temperature 0' : 'top-k 1';
  return [
    warning(
      'untrainable',
      { role },
      `The role ${role} always says what is likeliest (${why}), so training has nothing to choose between; let it sample`,
    ),
  ];
}
