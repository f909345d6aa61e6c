/**
 * A branch: a new run that goes on from another run's checkpoint, with another cast or other settings. It takes that run's
 * metrics up to there and the checkpoint as its own, so that it trains on as a paused run would: unchanged, it comes to the
 * same numbers.
 */
import { completed, ppoSettings, sftSettings } from '../../engine/learn/settings.ts';
import { UserError } from '../../engine/errors.ts';
import type { ModelInfo, PpoSettings } from '../../engine/protocol.ts';
import type { BranchRequest } from '../protocol.ts';
import type { Cast, Method, PolicyChoice } from '../schema/cast.ts';
import { runSchema, type RunConfig } from '../schema/run.ts';
import { formerPolicy, resolveCast } from '../train/cast.ts';
import { learners } from '../train/learn.ts';
import { bytesOf, paths } from '../workspace/layout.ts';
import {
  checkpointStep,
  policyFiles,
  readCheckpoint,
  readMetrics,
  writeCheckpoint,
  writeRun,
  type CheckpointState,
} from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { tuneSettings, withOverrides } from './compose.ts';

/**
 * The cast as it is seated: a policy that a branch froze keeps what it learned before, and a frozen policy of the engine
 * can hold nothing learned, so it is seated as one that trains and is never updated.
 */
export function seatedCast({ cast, from }: Pick<RunConfig, 'cast' | 'from'>): Cast {
  const policies = Object.entries(cast.policies).map(([name, policy]) => [
    name,
    from?.weights[name] === undefined ? policy : { ...policy, frozen: false },
  ]);
  return { ...cast, policies: Object.fromEntries(policies) as Cast['policies'] };
}

export type Branching = {
  request: BranchRequest;
  parent: RunConfig;
  /** Policies that have weights in the parent's checkpoint. */
  learned: readonly string[];
  info: ModelInfo;
  device: RunConfig['device'];
  software: RunConfig['software'];
  id: string;
};

/** The branch's frozen configuration: the parent's, with what the request changes. */
export function composeBranch({ request, parent, learned, info, device, software, id }: Branching): RunConfig {
  const { step } = request;
  const steps = request.steps ?? Math.max(parent.settings.steps, step + 1);
  if (steps <= step)
    throw new UserError(`A branch from step ${step} cannot end at step ${steps}; give a number of steps above ${step}`);
  const cast = request.cast === undefined ? parent.cast : castOf(parent, request.cast);
  const settings = { ...parent.settings, ...given(request), steps };
  const parsed = runSchema.safeParse({
    ...parent,
    id,
    created: new Date().toISOString(),
    title: request.title ?? `${parent.title.replace(/(, from step \d+)?$/, '').replace(`, ${parent.cast.name}`, '')}, ${cast.name}, from step ${step}`, // prettier-ignore
    cast,
    settings: { ...settings, ...learningOf(request, parent, info, steps) },
    from: { run: parent.id, step, weights: weightsOf(request, parent, cast, learned) },
    device,
    software,
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new UserError(`Cannot branch with ${issue.path.join('.')}: ${issue.message}`);
  }
  if (learners(parsed.data).length === 0)
    throw new UserError(`Every policy of the cast ${cast.name} is frozen, so nothing would learn; let one train`);
  return parsed.data;
}

function given(request: BranchRequest): Partial<RunConfig['settings']> {
  const names = ['queries', 'samples', 'evalEvery', 'evalLimit', 'checkpointEvery', 'keepCheckpoints', 'seed'] as const;
  return Object.fromEntries(names.flatMap((name) => (request[name] === undefined ? [] : [[name, request[name]]])));
}

/** A preset takes the model and the method that the parent trains. */
function castOf(parent: RunConfig, cast: string | Cast): Cast {
  const choice = Object.values(parent.cast.policies).find((policy) => policy.by === undefined && !policy.frozen)!;
  return resolveCast(parent.workflow, cast, choice.model, choice.method);
}

type Learning = Pick<RunConfig['settings'], 'sft'> & { ppo: object };

/** What is set over the parent's own settings; over the defaults where the branch learns in another way. */
function learningOf(
  { ppo, sft }: BranchRequest,
  { settings: old, cast }: RunConfig,
  { parameters }: ModelInfo,
  totalSteps: number,
): Learning {
  const { method } = Object.values(cast.policies).find((policy) => !policy.frozen)!;
  const trained = { parameters, method: method.kind, totalSteps };
  // A falling rate ends with the run, where nobody said otherwise.
  const ends = (frozen: { totalSteps?: unknown }) => (frozen.totalSteps === old.steps ? { totalSteps } : {});
  if (sft !== undefined || (old.sft !== undefined && ppo === undefined)) {
    const base = old.sft ?? sftSettings(trained);
    return { ppo: {}, sft: tuneSettings({ ...base, ...ends(base) }, sft ?? {}) };
  }
  const base = old.sft === undefined ? completed(old.ppo as unknown as PpoSettings) : ppoSettings(trained);
  return { ppo: withOverrides({ ...base, ...ends(base) }, ppo ?? {}), sft: undefined };
}

/** Whose weights each policy begins with, where these are not named. */
function weightsOf(
  { weights = {} }: BranchRequest,
  parent: RunConfig,
  cast: Cast,
  learned: readonly string[],
): Record<string, string> {
  for (const [name, source] of Object.entries(weights)) {
    if (cast.policies[name] === undefined) throw new UserError(`The cast ${cast.name} has no policy ${name}`);
    if (source !== null && parent.cast.policies[source] === undefined)
      throw new UserError(
        `Run ${parent.id} has no policy ${source}; it has ${Object.keys(parent.cast.policies).join(', ')}`,
      );
  }
  const chosen = Object.entries(cast.policies).flatMap(([name, policy]) => {
    if (policy.by !== undefined) return [];
    const source = name in weights ? weights[name] : formerPolicy(name, parent, cast);
    if (source === null || !learned.includes(source)) return [];
    checkFits(name, policy, source, parent.cast.policies[source]);
    return [[name, source] as const];
  });
  return Object.fromEntries(chosen);
}

function checkFits(name: string, policy: PolicyChoice, source: string, from: PolicyChoice): void {
  if (policy.model !== from.model)
    throw new UserError(
      `The policy ${name} is of the model ${policy.model} and cannot begin with the weights of ${source}, which are of ${from.model}; choose the same model, or let it begin untrained`,
    );
  if (methodText(policy.method) !== methodText(from.method))
    throw new UserError(
      `The policy ${name} trains ${methodText(policy.method)} and cannot begin with the weights of ${source}, which are ${methodText(from.method)}; choose the same method, or let it begin untrained`,
    );
}

function methodText(method: Method): string {
  if (method.kind === 'full') return 'all weights';
  return `an adapter of rank ${method.rank} on ${[...method.targets].sort().join(', ')}${method.layers === undefined ? '' : ` of layers ${method.layers.join(', ')}`}`;
}

/** Everything the branch begins with, and its configuration last: before that stands there is no run. */
export async function writeBranch(store: Store, parent: RunConfig, config: RunConfig): Promise<void> {
  const { step, weights } = config.from!;
  const lines = (await readMetrics(store, parent.id)).filter((line) => line.step <= step);
  const score = lines.find((line) => line.step === step)?.eval?.score;
  const state: CheckpointState = {
    step,
    policies: Object.keys(weights),
    best: score === undefined ? null : { step, f1: score },
  };
  const copied = async (policy: string) =>
    Object.entries(await policyFiles(store, parent, step, weights[policy])).map(([name, { bytes }]) => ({
      name,
      bytes,
    }));
  try {
    await writeCheckpoint(store, config.id, state, copied);
    await store.write(paths.metrics(config.id), bytesOf(lines.map((line) => `${JSON.stringify(line)}\n`).join('')));
    await writeRun(store, config);
  } catch (error) {
    await store.remove(paths.run(config.id));
    // The run that is branched from may go on meanwhile, and keeps its newest and its best alone.
    await checkpointStep(store, parent.id, step);
    throw error;
  }
}

/** Policies that have weights at a step of a run. */
export async function learnedAt(store: Store, config: RunConfig, step: number): Promise<string[]> {
  const { policies } = await readCheckpoint(store, config.id, step);
  return [...new Set([...policies, ...Object.keys(config.from?.weights ?? {})])];
}
