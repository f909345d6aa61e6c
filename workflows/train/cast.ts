/** Casts: the presets every workflow has, and the check that a cast fits a workflow. */
import { UserError } from '../../engine/errors.ts';
import type { ActivationPrecision, KeyPrecision, WeightPrecision } from '../../engine/protocol.ts';
import {
  activationsSchema,
  castSchema,
  keysSchema,
  methodSchema,
  weightsSchema,
  type Cast,
  type Method,
} from '../schema/cast.ts';
import type { Workflow } from '../schema/workflow.ts';

export const castPresets = ['shared', 'separate'] as const;
export type CastPreset = (typeof castPresets)[number];

/** `shared`: one policy plays every role. `separate`: each role has its own. */
export function presetCast(workflow: Workflow, preset: CastPreset, model: string, method: Method): Cast {
  const checked = methodSchema.safeParse(method);
  if (!checked.success)
    throw new UserError(
      `The training method cannot be used: ${checked.error.issues[0].path.join('.')} ${checked.error.issues[0].message}`,
    );
  const roles = Object.keys(workflow.roles);
  const policyOf = (role: string) => (preset === 'shared' ? 'team' : role);
  const policies = [...new Set(roles.map(policyOf))];
  return castSchema.parse({
    name: preset,
    policies: Object.fromEntries(policies.map((policy) => [policy, { model, method: checked.data, frozen: false }])),
    roles: Object.fromEntries(roles.map((role) => [role, policyOf(role)])),
  });
}

/** Roles of a group share a policy named after them; a role in no group has its own. */
export function groupCast(
  workflow: Workflow,
  { name, groups }: { readonly name: string; readonly groups: readonly (readonly string[])[] },
  model: string,
  method: Method,
): Cast {
  const policyOf = new Map<string, string>();
  for (const group of groups)
    for (const role of group) {
      if (policyOf.has(role))
        throw new UserError(`The cast ${name} puts a role into two groups: ${role}; name it once`);
      policyOf.set(role, group.join('-').slice(0, 64));
    }
  const roles = { ...Object.fromEntries(Object.keys(workflow.roles).map((role) => [role, role])) };
  for (const [role, policy] of policyOf) roles[role] = policy;
  const policies = [...new Set(Object.values(roles))].map(
    (policy) => [policy, { model, method, frozen: false }] as const,
  );
  return checkCast(workflow, castSchema.parse({ name, policies: Object.fromEntries(policies), roles }));
}

/** A preset's name, the name of a cast kept in the workflow, or a cast itself. */
export function resolveCast(workflow: Workflow, cast: string | Cast, model: string, method: Method): Cast {
  if (typeof cast !== 'string') return checkCast(workflow, withChosen(cast, model, method));
  if (cast === 'shared' || cast === 'separate') return presetCast(workflow, cast, model, method);
  const kept = workflow.casts[cast];
  if (!kept)
    throw new UserError(
      `No such cast: ${cast}; use ${[...castPresets, ...Object.keys(workflow.casts)].join(', ')} or a file`,
    );
  return checkCast(workflow, withChosen(kept, model, method));
}

/** A cast kept in a workflow cannot know the model: "*" stands for the one chosen, which takes the method chosen with it. */
function withChosen(cast: Cast, model: string, method: Method): Cast {
  const policies = Object.entries(cast.policies).map(([name, policy]) => [
    name,
    policy.model === '*' ? { ...policy, model, method } : policy,
  ]);
  return { ...cast, policies: Object.fromEntries(policies) as Cast['policies'] };
}

/** How exact sampling is to be, in place of what a cast says. */
export type SamplingPrecision = {
  readonly weights?: WeightPrecision;
  readonly keys?: KeyPrecision;
  readonly activations?: ActivationPrecision;
};
const precisions = { weights: weightsSchema, keys: keysSchema, activations: activationsSchema };

/** Every policy that runs here samples so. */
export function withPrecision(cast: Cast, wanted: SamplingPrecision): Cast {
  const given = (['weights', 'keys', 'activations'] as const).filter((part) => wanted[part] !== undefined);
  for (const part of given)
    if (!precisions[part].safeParse(wanted[part]).success)
      throw new UserError(`There are no ${wanted[part]} ${part}; use ${precisions[part].options.join(', ')}`);
  const precision = Object.fromEntries(given.map((part) => [part, wanted[part]]));
  const policies = Object.entries(cast.policies).map(([name, policy]) => [
    name,
    policy.by === undefined ? { ...policy, ...precision } : policy,
  ]);
  return { ...cast, policies: Object.fromEntries(policies) as Cast['policies'] };
}

/**
 * Who was a policy of `cast` in the cast before: its namesake, else the policy that played the first of its roles; null for
 * one that plays none.
 */
export function formerPolicy(
  policy: string,
  before: { readonly cast: Cast; readonly workflow: Pick<Workflow, 'roles'> },
  cast: Cast,
): string | null {
  if (before.cast.policies[policy] !== undefined) return policy;
  const role = Object.keys(before.workflow.roles).find((each) => cast.roles[each] === policy);
  return role === undefined ? null : before.cast.roles[role];
}

/** Policies name folders of a checkpoint. */
const policyName = /^[\p{L}\p{N}][\p{L}\p{N} _-]*$/u;

/** Every role has a policy that exists. */
export function checkCast(workflow: Workflow, cast: Cast): Cast {
  const odd = Object.keys(cast.policies).find((policy) => !policyName.test(policy));
  if (odd !== undefined) throw new UserError(`Not a name for a policy: ${odd}; use letters, digits, spaces, _ and -`);
  for (const role of Object.keys(workflow.roles)) {
    const policy = cast.roles[role];
    if (policy === undefined) throw new UserError(`The cast gives no policy to role ${role}; add it under "roles"`);
    if (!cast.policies[policy])
      throw new UserError(
        `The cast gives role ${role} to a policy it does not define: ${policy}; define it under "policies"`,
      );
  }
  for (const role of Object.keys(cast.roles)) {
    if (!workflow.roles[role])
      throw new UserError(
        `The cast names a role the workflow does not have: ${role}; it has ${Object.keys(workflow.roles).join(', ')}`,
      );
  }
  return cast;
}
