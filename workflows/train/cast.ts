/** Casts: the presets every workflow has, and the check that a cast fits a workflow. */
import { UserError } from '../../engine/errors.ts';
import { castSchema, type Cast, type Method } from '../schema/cast.ts';
import type { Workflow } from '../schema/workflow.ts';

export const castPresets = ['shared', 'separate'] as const;
export type CastPreset = (typeof castPresets)[number];

/** `shared`: one policy plays every role. `separate`: each role has its own. */
export function presetCast(workflow: Workflow, preset: CastPreset, model: string, method: Method): Cast {
  const roles = Object.keys(workflow.roles);
  const policyOf = (role: string) => (preset === 'shared' ? 'team' : role);
  const policies = [...new Set(roles.map(policyOf))];
  return castSchema.parse({
    name: preset,
    policies: Object.fromEntries(policies.map((policy) => [policy, { model, method, frozen: false }])),
    roles: Object.fromEntries(roles.map((role) => [role, policyOf(role)])),
  });
}

/** A preset's name, the name of a cast kept in the workflow, or a cast itself. */
export function resolveCast(workflow: Workflow, cast: string | Cast, model: string, method: Method): Cast {
  if (typeof cast !== 'string') return checkCast(workflow, cast);
  if (cast === 'shared' || cast === 'separate') return presetCast(workflow, cast, model, method);
  const kept = workflow.casts[cast];
  if (!kept) throw new UserError(`No such cast: ${cast}; use ${[...castPresets, ...Object.keys(workflow.casts)].join(', ')} or a file`);
  return checkCast(workflow, kept);
}

/** Every role has a policy that exists, and something learns. */
export function checkCast(workflow: Workflow, cast: Cast): Cast {
  for (const role of Object.keys(workflow.roles)) {
    const policy = cast.roles[role];
    if (policy === undefined) throw new UserError(`The cast gives no policy to role ${role}; add it under "roles"`);
    if (!cast.policies[policy]) throw new UserError(`The cast gives role ${role} to a policy it does not define: ${policy}; define it under "policies"`);
  }
  for (const role of Object.keys(cast.roles)) {
    if (!workflow.roles[role]) throw new UserError(`The cast names a role the workflow does not have: ${role}; it has ${Object.keys(workflow.roles).join(', ')}`);
  }
  return cast;
}
