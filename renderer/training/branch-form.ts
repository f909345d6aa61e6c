/**
 * The branch dialog as text fields, and the request they make. An empty field leaves what the run has; a wrong one gives a
 * sentence and nothing is sent.
 */
import type { BranchRequest } from '../../workflows/protocol.ts';
import type { Cast } from '../../workflows/schema/cast.ts';
import type { RunConfig } from '../../workflows/schema/run.ts';
import { formerPolicy, presetCast } from '../../workflows/train/cast.ts';
import { words } from '../words.ts';
import { textProblems, textValues, type SettingGroup, type Texts } from './setting-fields.ts';

export type BranchForm = {
  step: string;
  title: string;
  /** '' as the run has it, `shared`, `separate`, a cast kept in the workflow, or `board`. */
  cast: string;
  /** Of the run, and of how it learns. */
  run: Texts;
  learning: Texts;
  /** By policy, whose weights it begins with; '' for none. Absent where the default is taken. */
  weights: Readonly<Record<string, string>>;
};

export function emptyBranch(step: number): BranchForm {
  return { step: String(step), title: '', cast: '', run: {}, learning: {}, weights: {} };
}

/** A branch learns as its run does. */
export function learningGroup({ settings }: RunConfig): Exclude<SettingGroup, 'run'> {
  return settings.sft === undefined ? 'ppo' : 'sft';
}

export type BranchProblems = {
  readonly run: Readonly<Record<string, string>>;
  readonly learning: Readonly<Record<string, string>>;
};

export function branchProblems(form: BranchForm, config: RunConfig): BranchProblems {
  const run = textProblems('run', form.run);
  const steps = (form.run.steps ?? '').trim();
  const past = run.steps === undefined && steps !== '' && Number(steps) <= Number(form.step);
  return {
    run: past ? { ...run, steps: words.training.branchDialog.past(Number(form.step)) } : run,
    learning: textProblems(learningGroup(config), form.learning),
  };
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
  const group = learningGroup(config);
  const learning = textValues(group, form.learning);
  const weights = weightChoices(form, config, board).map(({ policy, chosen }) => [policy, chosen || null] as const);
  const request: BranchRequest = {
    run: config.id,
    step: Number(form.step),
    title: form.title.trim() || undefined,
    cast: form.cast === '' ? undefined : form.cast === 'board' ? (board ?? undefined) : form.cast,
    ...textValues('run', form.run),
    weights: weights.length > 0 ? Object.fromEntries(weights) : undefined,
    ...(Object.keys(learning).length > 0 ? { [group]: learning } : {}),
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)) as BranchRequest;
}
