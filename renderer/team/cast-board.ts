/**
 * The cast board's moves over a plain cast: presets, giving a role another policy, adding and dropping policies, and what a
 * choice means in memory and samples. Policies keep their order; a policy nobody plays stays on the board and out of runs.
 */
import type { ModelEntry } from '../../workflows/protocol.ts';
import { endpointSchema, type Cast, type Method, type PolicyChoice } from '../../workflows/schema/cast.ts';
import type { Workflow } from '../../workflows/schema/workflow.ts';
import { groupCast, presetCast, resolveCast } from '../../workflows/train/cast.ts';
import { words } from '../words.ts';
import { sumOf, type Counts } from './record-counts.ts';

export type Base = { readonly model: string; readonly method: Method };

const FULL_BELOW_PARAMETERS = 30_000_000;

/** What a new policy starts as: the bundled model trained whole; a larger one through an adapter. */
export function baseOf(models: readonly ModelEntry[]): Base {
  const entry = models.find((one) => one.bundled && one.info) ?? models.find((one) => one.info);
  return entry ? baseFor(entry) : { model: 'nano', method: { kind: 'full' } };
}

const LORA: Method = {
  kind: 'lora',
  rank: 16,
  alpha: 32,
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};

export function baseFor(entry: ModelEntry): Base {
  const small = (entry.info?.parameters ?? 0) < FULL_BELOW_PARAMETERS;
  return {
    model: entry.name,
    method: small ? { kind: 'full' } : LORA,
  };
}

/** Who answers for a policy: its model, trained whole, through an adapter or not at all; a person; a service. */
export type Player = 'full' | 'lora' | 'frozen' | 'person' | 'service';

export function playerOf({ by, frozen, method }: PolicyChoice): Player {
  if (by) return by.kind === 'person' ? 'person' : 'service';
  return frozen ? 'frozen' : method.kind;
}

/** The policy with another player. A service begins as one on this machine, where nothing leaves it. */
export function played(board: Cast, policy: string, by: Player): Cast {
  switch (by) {
    case 'full':
      return changePolicy(board, policy, { by: undefined, frozen: false, method: { kind: 'full' } });
    case 'lora':
      return changePolicy(board, policy, { by: undefined, frozen: false, method: LORA });
    case 'frozen':
      return changePolicy(board, policy, { by: undefined, frozen: true });
    case 'person':
      return changePolicy(board, policy, { by: { kind: 'person' }, frozen: true });
    case 'service': {
      const endpoint = endpointSchema.parse({ kind: 'endpoint', url: 'http://localhost:8080/v1', model: 'default' });
      return changePolicy(board, policy, { by: endpoint, frozen: true });
    }
    default:
      return by satisfies never;
  }
}

/** The model a team runs on where only one can be named; a service's or a person's is none. */
export function modelOf(board: Cast): string {
  return Object.values(board.policies).find((policy) => !policy.by)?.model ?? 'nano';
}

function policyOf(base: Base): PolicyChoice {
  return { model: base.model, method: base.method, frozen: false };
}

export function sharedCast(workflow: Workflow, base: Base): Cast {
  return presetCast(workflow, 'shared', base.model, base.method);
}

export function separateCast(workflow: Workflow, base: Base): Cast {
  return presetCast(workflow, 'separate', base.model, base.method);
}

/** Roles that stand in one drawn group, for every group that holds more than one; a role belongs to the first of its groups. */
function drawnGroups(workflow: Workflow): string[][] {
  const taken = new Set<string>();
  return workflow.nodes.flatMap((node) => {
    if (node.kind !== 'workflow') return [];
    const inside = workflow.workflows?.[node.workflow]?.nodes ?? [];
    const roles = [
      ...new Set(inside.flatMap((one) => (one.kind === 'role' && !taken.has(one.role) ? [one.role] : []))),
    ];
    if (roles.length < 2) return [];
    roles.forEach((role) => taken.add(role));
    return [roles];
  });
}

export type Offer = { readonly label: string; readonly cast: Cast };

/** Casts to take at one press: shared, separate, by the drawn groups where there are any, and those the workflow keeps. */
export function offers(workflow: Workflow, base: Base): Offer[] {
  const text = words.cast;
  const groups = drawnGroups(workflow);
  const kept = Object.keys(workflow.casts ?? {}).flatMap((name): Offer[] => {
    try {
      return [{ label: name, cast: resolveCast(workflow, name, base.model, base.method) }];
    } catch {
      return []; // kept for roles that are no longer there; the problems panel says so
    }
  });
  return [
    { label: text.shared, cast: sharedCast(workflow, base) },
    { label: text.separate, cast: separateCast(workflow, base) },
    ...(groups.length > 0
      ? [{ label: text.byGroup, cast: groupCast(workflow, { name: 'by-group', groups }, base.model, base.method) }]
      : []),
    ...kept,
  ];
}

/** Whether two casts put the same roles together on the same models, whatever their policies are called. */
export function sameCast(a: Cast, b: Cast): boolean {
  const shape = (cast: Cast): string => {
    const first = new Map<string, string>();
    return JSON.stringify(
      Object.keys(cast.roles)
        .sort()
        .map((role) => {
          const policy = cast.roles[role];
          if (!first.has(policy)) first.set(policy, role);
          const { model, method, frozen, by = null, weights, keys, activations } = cast.policies[policy];
          const sampling = [weights ?? null, keys ?? null, activations ?? null];
          return [role, first.get(policy), model, method, frozen, by, sampling];
        }),
    );
  };
  return shape(a) === shape(b);
}

/** Policies that play at least one role, in board order. */
export function playing(board: Cast): string[] {
  const used = new Set(Object.values(board.roles));
  return Object.keys(board.policies).filter((policy) => used.has(policy));
}

export type Preset = 'shared' | 'separate' | 'custom';

/** Which preset a board amounts to; one model and method for all, or it is custom. */
export function presetOf(board: Cast, roles: readonly string[]): Preset {
  const used = playing(board);
  const kinds = new Set(used.map((policy) => JSON.stringify(board.policies[policy])));
  if (kinds.size > 1 || used.some((policy) => board.policies[policy].frozen)) return 'custom';
  if (used.length === 1) return 'shared';
  return used.length === roles.length ? 'separate' : 'custom';
}

function named(board: Cast, roles: readonly string[]): Cast {
  return { ...board, name: presetOf(board, roles) };
}

export function assign(board: Cast, role: string, policy: string): Cast {
  if (!board.policies[policy] || board.roles[role] === policy) return board;
  const roles = { ...board.roles, [role]: policy };
  return named({ ...board, roles }, Object.keys(roles));
}

export function addPolicy(board: Cast, base: Base): Cast {
  let number = Object.keys(board.policies).length + 1;
  while (board.policies[`policy-${number}`]) number++;
  return { ...board, policies: { ...board.policies, [`policy-${number}`]: policyOf(base) } };
}

/** Drops a policy nobody plays; one that is played stays. */
export function removePolicy(board: Cast, policy: string): Cast {
  if (Object.values(board.roles).includes(policy)) return board;
  return { ...board, policies: Object.fromEntries(Object.entries(board.policies).filter(([name]) => name !== policy)) };
}

export function changePolicy(board: Cast, policy: string, change: Partial<PolicyChoice>): Cast {
  const now = board.policies[policy];
  if (!now) return board;
  return named(
    { ...board, policies: { ...board.policies, [policy]: { ...now, ...change } } },
    Object.keys(board.roles),
  );
}

/** Keeps a remembered board true to its workflow: roles that are gone leave, new ones join the first policy. */
export function fitted(board: Cast, roles: readonly string[]): Cast | null {
  const first = Object.keys(board.policies)[0];
  if (first === undefined) return null;
  const kept = Object.fromEntries(
    roles.map((role) => [role, board.policies[board.roles[role]] ? board.roles[role] : first]),
  );
  return named({ ...board, roles: kept }, roles);
}

/** The cast a run is started with: only policies that play. */
export function forRun(board: Cast): Cast {
  const used = new Set(playing(board));
  return { ...board, policies: Object.fromEntries(Object.entries(board.policies).filter(([name]) => used.has(name))) };
}

/** The board fitted to a workflow's roles, or a shared one. Where every role had its own policy, a new role gets its own. */
export function seated(board: Cast | null, workflow: Workflow, base: Base): Cast {
  const roles = Object.keys(workflow.roles);
  const before = board ? Object.keys(board.roles) : [];
  if (board && before.length > 1 && presetOf(board, before) === 'separate') {
    const added = roles.filter((role) => !board.roles[role] && !board.policies[role]);
    const first = Object.values(board.policies)[0];
    const own = Object.fromEntries(added.map((role) => [role, first]));
    const wide = { ...board, policies: { ...board.policies, ...own } };
    const seats = { ...board.roles, ...Object.fromEntries(added.map((role) => [role, role])) };
    return fitted({ ...wide, roles: seats }, roles) ?? sharedCast(workflow, base);
  }
  return (board && fitted(board, roles)) ?? sharedCast(workflow, base);
}

/** The seat of a role that got another name. */
export function renameSeat(board: Cast, from: string, to: string): Cast {
  const roles = Object.entries(board.roles).map(([role, policy]) => [role === from ? to : role, policy]);
  return { ...board, roles: Object.fromEntries(roles) };
}

export type Meaning = {
  readonly policies: number;
  /** Bytes to train, by formula; null where a model's size is not known. Policies on one base share its weights. */
  readonly trainBytes: number | null;
  /** Records a question that train each policy. */
  readonly samples: Counts;
};

/** `counts`: records a question by role. */
export function meaning(board: Cast, models: readonly ModelEntry[], counts: Counts): Meaning {
  const used = playing(board);
  const samples = Object.fromEntries(
    used.map((policy) => {
      const own = Object.keys(board.roles).filter((role) => board.roles[role] === policy);
      return [policy, sumOf(own.flatMap((role) => counts[role] ?? []))];
    }),
  );
  return {
    policies: used.length,
    trainBytes: trainBytes(
      used.map((policy) => board.policies[policy]),
      models,
    ),
    samples,
  };
}

function trainBytes(policies: readonly PolicyChoice[], models: readonly ModelEntry[]): number | null {
  let total = 0;
  const bases = new Set<string>();
  for (const { model, method, frozen, by } of policies) {
    if (by) continue;
    const memory = models.find((entry) => entry.name === model)?.info?.memory;
    if (!memory) return null;
    if (method.kind === 'full' && !frozen) {
      total += memory.trainFull;
      continue;
    }
    if (!frozen) total += Math.max(0, memory.trainLora - memory.run);
    if (!bases.has(model)) total += memory.run;
    bases.add(model);
  }
  return total;
}
