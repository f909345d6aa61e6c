/**
 * The branch dialog as text fields, and the request they make. An empty field leaves what the run has; a wrong one gives a
 * sentence and nothing is sent.
 */
import type { BranchRequest } from '../../workflows/protocol.ts';
import type { Cast } from '../../workflows/schema/cast.ts';
import type { RunConfig } from '../../workflows/schema/run.ts';
import { formerPolicy, presetCast } from '../../workflows/train/cast.ts';
import { words } from '../words.ts';
import { wholeProblem, wholes } from './setup.ts';

export type BranchForm = {
  step: string;
  title: string;
  /** '' as the run has it, `shared`, `separate`, a cast kept in the workflow, or `board`. */
  cast: string;
  steps: string;
  seed: string;
  lr: string;
  whiten: string;
  /** By policy, whose weights it begins with; '' for none. Absent where the default is taken. */
  weights: Readonly<Record<string, string>>;
};

export function emptyBranch(step: number): BranchForm {
  return { step: String(step), title: '', cast: '', steps: '', seed: '', lr: '', whiten: '', weights: {} };
}

export type BranchProblems = Partial<Record<'steps' | 'seed' | 'lr', string>>;

export function branchProblems(form: BranchForm): BranchProblems {
  const problems: BranchProblems = {};
  const steps = wholeProblem(form.steps, { ...wholes.steps, min: Number(form.step) + 1 });
  if (steps) problems.steps = steps;
  const seed = wholeProblem(form.seed, wholes.seed);
  if (seed) problems.seed = seed;
  if (form.lr.trim() !== '' && !(Number(form.lr) > 0 && Number(form.lr) <= 1)) problems.lr = words.training.problems.lr;
  return problems;
}

/** The cast the branch would have; null where the board's is asked for and there is none. */
export function branchCast({ cast }: BranchForm, config: RunConfig, board: Cast | null): Cast | null {
  if (cast === '') return config.cast;
  if (cast === 'board') return board;
  if (cast !== 'shared' && cast !== 'separate') return config.workflow.casts[cast] ?? null;
  const trained = Object.values(config.cast.policies).find((policy) => policy.by === undefined && !policy.frozen);
  return trained ? presetCast(config.workflow, cast, trained.model, trained.method) : null;
}

export type WeightChoice = { readonly policy: string; readonly roles: readonly string[]; readonly chosen: string };

/** For each policy of another cast: which roles it plays and whose weights it begins with. */
export function weightChoices(form: BranchForm, config: RunConfig, board: Cast | null): WeightChoice[] {
  const cast = branchCast(form, config, board);
  if (form.cast === '' || cast === null) return [];
  return Object.entries(cast.policies)
    .filter(([, { by }]) => by === undefined)
    .map(([policy]) => ({
      policy,
      roles: Object.keys(cast.roles).filter((role) => cast.roles[role] === policy),
      chosen: form.weights[policy] ?? formerPolicy(policy, config, cast) ?? '',
    }));
}

/** Policies whose weights the run's checkpoints hold. */
export function learnedPolicies({ cast, from }: RunConfig): string[] {
  return Object.keys(cast.policies).filter((name) => !cast.policies[name].frozen || from?.weights[name] !== undefined);
}

/** The request of a form without problems; fields that were left empty are left out. */
export function branchRequest(form: BranchForm, config: RunConfig, board: Cast | null): BranchRequest {
  const number = (text: string) => (text.trim() === '' ? undefined : Number(text));
  const learning: Record<string, unknown> = {};
  if (number(form.lr) !== undefined) learning.lr = number(form.lr);
  if (form.whiten !== '' && config.settings.sft === undefined) learning.whiten = form.whiten;
  const weights = weightChoices(form, config, board).map(({ policy, chosen }) => [policy, chosen || null] as const);
  const request: BranchRequest = {
    run: config.id,
    step: Number(form.step),
    title: form.title.trim() || undefined,
    cast: form.cast === '' ? undefined : form.cast === 'board' ? (board ?? undefined) : form.cast,
    steps: number(form.steps),
    seed: number(form.seed),
    weights: weights.length > 0 ? Object.fromEntries(weights) : undefined,
    ...(Object.keys(learning).length > 0 ? { [config.settings.sft === undefined ? 'ppo' : 'sft']: learning } : {}),
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as BranchRequest;
}
