/**
 * Each role's own part of the gradient on a policy: its norm, the cosine between every two roles' parts, and among the
 * copies of a role that speak side by side (three voters) the mean cosine of every two copies' parts. It looks at the first mini-batch of a step before anything is updated, with the weights that mini-batch gives its
 * tokens, so that the parts add up to the mini-batch's policy gradient. It changes nothing that is learned.
 */
import type { Policy, Segment, Trainable } from '../model/policy.ts';
import type { Hooks } from './forward.ts';
import type { PpoSettings } from '../protocol.ts';
import { globalNorm, runsOf } from './adamw.ts';
import { disposeGradient, type FlatGradient } from './gradients.ts';
import { underScale } from './loss-scale.ts';
import { longestInput, withinMemory } from './microbatch.ts';
import { miniBatchGradient, type MiniBatch } from './ppo-step.ts';
import type { TrainRecord } from './records.ts';
import { membersOf } from './whiten.ts';

/** All gradients lie in memory at once to be compared; above this they are not measured. */
const MAX_BYTES = 512 * 2 ** 20;
/** Copies beyond these are counted to the first ones again. */
const MAX_COPIES = 8;

export type RoleGradients = {
  readonly norms: Readonly<Record<string, number>>;
  /** By "one~other", names in alphabetical order; pairs with an empty gradient are left out. */
  readonly cosines: Readonly<Record<string, number>>;
  /** By role: the mean cosine between its copies; roles without copies are left out. */
  readonly copies: Readonly<Record<string, number>>;
};

type Copied = { readonly role: string; readonly copy?: number };

/** One part a role, or one a copy where the role has several. */
function partsOf(records: readonly Copied[]): Map<string, string[]> {
  const parts = new Map<string, Set<string>>();
  for (const record of records) parts.set(record.role, (parts.get(record.role) ?? new Set()).add(partOf(record)));
  return new Map([...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([role, own]) => [role, [...own].sort()]));
}

function partOf({ role, copy = 0 }: Copied): string {
  return `${role}#${copy % MAX_COPIES}`;
}

/** Whether they are measured at this step; only where there is room for all of them. */
export function roleGradientsDue(
  records: readonly TrainRecord[],
  trainable: Trainable,
  every: number,
  step: number,
): boolean {
  if (every === 0 || step % every !== 0) return false;
  const parts = [...partsOf(records).values()].flat().length;
  return parts * trainable.size * Float32Array.BYTES_PER_ELEMENT <= MAX_BYTES;
}

/** A role that has its policy to itself, and no copies: the mini-batch's own gradient is its part, where no critic pulls on the trunk. */
export function playsAlone(
  records: readonly TrainRecord[],
  { valueCoef, valueGradient }: Pick<PpoSettings, 'valueCoef' | 'valueGradient'>,
): boolean {
  return [...partsOf(records).values()].flat().length === 1 && (valueCoef === 0 || valueGradient === 'head');
}

/** Of the role that plays alone, from the first mini-batch's gradient. */
export async function loneRoleGradient(role: string, gradient: FlatGradient): Promise<RoleGradients> {
  const trunk = runsOf(gradient.layout).filter(({ part }) => part !== 'value');
  return { norms: { [role]: await globalNorm(gradient, trunk) }, cosines: {}, copies: {} };
}

/** `mini.inputs.weights` must be filled for the whole mini-batch. The value loss is left out: only the trunk is shared. */
export async function measureRoleGradients(
  policy: Policy,
  records: readonly TrainRecord[],
  mini: MiniBatch,
  notes: string[],
  hooks: Hooks,
): Promise<RoleGradients> {
  const roles = partsOf(mini.members.map((r) => records[r]));
  const parts = [...roles.values()].flat();
  const byPart = membersOf(mini.members.map((r) => partOf(records[r])));
  const gradients = new Map<string, Float32Array>();
  for (const [done, part] of parts.entries()) {
    hooks.onProgress('role gradients', done, parts.length);
    const members = byPart.get(part)!.map((i) => mini.members[i]);
    gradients.set(part, await gradientOf(policy, records, { ...mini, members }, notes, hooks));
  }
  return compare(roles, gradients);
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
  let own: Float32Array = new Float32Array();
  await underScale(policy, notes, async () => {
    const gradient = await withinMemory(policy, mini.settings.tokenBudget, longestInput(records), notes, (budget) =>
      miniBatchGradient(policy, policyAlone, seen, budget, hooks, () => {}),
    );
    try {
      own = sharedPart(gradient.host ?? ((await gradient.device!.data()) as Float32Array), gradient.layout);
      return Math.sqrt(dot(own, own));
    } finally {
      disposeGradient(gradient);
    }
  });
  return own;
}

/** Without the value head, which has no part in the policy's own gradient. */
function sharedPart(whole: Float32Array, layout: readonly Segment[]): Float32Array {
  for (const { part, offset, size } of layout) if (part === 'value') whole.fill(0, offset, offset + size);
  return whole;
}

function compare(
  roles: ReadonlyMap<string, readonly string[]>,
  gradients: ReadonlyMap<string, Float32Array>,
): RoleGradients {
  const copies: Record<string, number> = {};
  const whole = new Map<string, Float32Array>();
  for (const [role, parts] of roles) {
    const own = parts.map((part) => gradients.get(part)!);
    const between = Object.values(cosinesOf(new Map(parts.map((part, i) => [part, own[i]]))));
    if (between.length > 0) copies[role] = between.reduce((sum, each) => sum + each, 0) / between.length;
    whole.set(role, own.length === 1 ? own[0] : added(own));
  }
  const norms = Object.fromEntries([...whole].map(([role, own]) => [role, Math.sqrt(dot(own, own))]));
  return { norms, cosines: cosinesOf(whole), copies };
}

/** Of every two, by "one~other"; one without length has none. */
function cosinesOf(gradients: ReadonlyMap<string, Float32Array>): Record<string, number> {
  const cosines: Record<string, number> = {};
  const all = [...gradients].map(([name, own]) => ({ name, own, norm: Math.sqrt(dot(own, own)) }));
  for (const [i, one] of all.entries())
    for (const other of all.slice(i + 1)) {
      const both = one.norm * other.norm;
      if (both > 0) cosines[`${one.name}~${other.name}`] = dot(one.own, other.own) / both;
    }
  return cosines;
}

/** Gradients add up: the copies' make the role's. */
function added(parts: readonly Float32Array[]): Float32Array {
  const sum = new Float32Array(parts[0].length);
  for (const part of parts) for (let i = 0; i < sum.length; i++) sum[i] += part[i];
  return sum;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
