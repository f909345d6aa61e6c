/**
 * Each role's own part of the gradient on a policy that plays several: its norm, and the cosine between every two roles'
 * parts. It looks at the first mini-batch of a step before anything is updated, with the weights that mini-batch gives its
 * tokens, so that the parts add up to the mini-batch's policy gradient. It changes nothing that is learned.
 */
import type { Policy, Segment, Trainable } from '../model/policy.ts';
import type { Hooks } from './forward.ts';
import { disposeGradient } from './gradients.ts';
import { longestInput, withinMemory } from './microbatch.ts';
import { miniBatchGradient, type MiniBatch } from './ppo-step.ts';
import type { TrainRecord } from './records.ts';
import { membersOf } from './whiten.ts';

/** All roles' gradients lie in memory at once to be compared; above this they are not measured. */
const MAX_BYTES = 512 * 2 ** 20;

export type RoleGradients = {
  readonly norms: Readonly<Record<string, number>>;
  /** By "one~other", names in alphabetical order; pairs with an empty gradient are left out. */
  readonly cosines: Readonly<Record<string, number>>;
};

const NONE: RoleGradients = { norms: {}, cosines: {} };

/** Whether there is anything to compare at this step, and room for it. */
export function roleGradientsDue(
  records: readonly TrainRecord[],
  trainable: Trainable,
  every: number,
  step: number,
): boolean {
  if (every === 0 || step % every !== 0) return false;
  const roles = new Set(records.map(({ role }) => role)).size;
  return roles > 1 && roles * trainable.size * Float32Array.BYTES_PER_ELEMENT <= MAX_BYTES;
}

/** `mini.inputs.weights` must be filled for the whole mini-batch. The value loss is left out: only the trunk is shared. */
export async function measureRoleGradients(
  policy: Policy,
  records: readonly TrainRecord[],
  mini: MiniBatch,
  notes: string[],
  hooks: Hooks,
): Promise<RoleGradients> {
  const byRole = membersOf(mini.members.map((r) => records[r].role));
  if (byRole.size < 2 || mini.criticOnly) return NONE;
  const roles = [...byRole.keys()].sort();
  const gradients = new Map<string, Float32Array>();
  for (const [done, role] of roles.entries()) {
    hooks.onProgress('role gradients', done, roles.length);
    const members = byRole.get(role)!.map((i) => mini.members[i]);
    gradients.set(role, await gradientOf(policy, records, { ...mini, members }, notes, hooks));
  }
  return compare(gradients);
}

async function gradientOf(
  policy: Policy,
  records: readonly TrainRecord[],
  mini: MiniBatch,
  notes: string[],
  hooks: Hooks,
): Promise<Float32Array> {
  const tokens = mini.inputs.weights.length;
  const seen = {
    logprobs: new Float32Array(tokens),
    entropy: new Float32Array(tokens),
    values: new Float32Array(tokens),
  };
  const policyAlone: MiniBatch = { ...mini, settings: { ...mini.settings, valueCoef: 0 } };
  const gradient = await withinMemory(policy, mini.settings.tokenBudget, longestInput(records), notes, (budget) =>
    miniBatchGradient(policy, policyAlone, seen, budget, hooks, () => {}),
  );
  try {
    const whole = gradient.host ?? ((await gradient.device!.data()) as Float32Array);
    return sharedPart(whole, gradient.layout);
  } finally {
    disposeGradient(gradient);
  }
}

/** Without the value head, which has no part in the policy's own gradient. */
function sharedPart(whole: Float32Array, layout: readonly Segment[]): Float32Array {
  for (const { part, offset, size } of layout) if (part === 'value') whole.fill(0, offset, offset + size);
  return whole;
}

function compare(gradients: ReadonlyMap<string, Float32Array>): RoleGradients {
  const roles = [...gradients.keys()];
  const norms = Object.fromEntries(
    roles.map((role) => [role, Math.sqrt(dot(gradients.get(role)!, gradients.get(role)!))]),
  );
  const cosines: Record<string, number> = {};
  for (const [i, one] of roles.entries())
    for (const other of roles.slice(i + 1)) {
      const both = norms[one] * norms[other];
      if (both > 0) cosines[`${one}~${other}`] = dot(gradients.get(one)!, gradients.get(other)!) / both;
    }
  return { norms, cosines };
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
