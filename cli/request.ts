/** What a person asks for on the command line, as the requests the controller takes: a new run, or a branch of one. */
import path from 'node:path';
import { existsSync } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { ActivationPrecision, KeyPrecision, WeightPrecision } from '../engine/protocol.ts';
import type { Controller } from '../workflows/controller.ts';
import type { BranchRequest, TrainRequest } from '../workflows/protocol.ts';
import type { Cast, Method } from '../workflows/schema/cast.ts';
import { readUserFile } from './place.ts';
import type { Common } from './session.ts';

export type TrainOptions = Common & {
  task?: string;
  corpus?: string;
  model: string;
  method?: string;
  rank?: number;
  alpha?: number;
  cast: string;
  weights?: string;
  keys?: string;
  activations?: string;
  memory?: number;
  steps?: number;
  queries?: number;
  samples?: number;
  branch?: string | true;
  evalEvery?: number;
  evalLimit?: number;
  checkpointEvery?: number;
  seed: number;
  out?: string;
  resume?: string | true;
  from?: string;
  keepCheckpoints?: boolean;
  learn: string;
  set: string[];
  map?: string;
  taskSet: string[];
  passages?: number;
  words?: number;
  allowWeb?: boolean;
};

export function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('use a whole number.');
  return Number(text);
}

export function collect(text: string, before: string[]): string[] {
  return [...before, text];
}

/** What is set of the task, with the mapping of its fields. */
export function taskOptionsOf({ map, taskSet }: { map?: string; taskSet: string[] }): ReturnType<typeof settings> {
  return { ...settings(taskSet), ...(map === undefined ? {} : { map }) };
}

/** The search's part of a request; absent where nothing was chosen. */
export function searchOf({ passages, words }: { passages?: number; words?: number }): Pick<TrainRequest, 'search'> {
  if (passages === undefined && words === undefined) return {};
  return { search: { ...(passages === undefined ? {} : { passages }), ...(words === undefined ? {} : { words }) } };
}

/** Paths are frozen in run.json whole, so that a run goes on from any folder. */
export function located(named: string, from = '.'): string {
  const whole = path.resolve(from, named);
  return /[\\/.]/.test(named) && existsSync(whole) ? whole : named;
}

export async function begin(controller: Controller, workflow: string, options: TrainOptions): Promise<string> {
  const method = methodOf(options);
  const request: TrainRequest = {
    workflow,
    ...(options.task === undefined ? {} : { task: located(options.task) }),
    model: located(options.model),
    cast: await castOf(options.cast),
    seed: options.seed,
    ...learningOf(options),
    taskOptions: taskOptionsOf(options),
    ...(options.corpus === undefined ? {} : { corpus: located(options.corpus) }),
    ...(method === undefined ? {} : { method }),
    ...(options.weights === undefined ? {} : { weights: options.weights as WeightPrecision }),
    ...(options.keys === undefined ? {} : { keys: options.keys as KeyPrecision }),
    ...(options.activations === undefined ? {} : { activations: options.activations as ActivationPrecision }),
    ...(options.memory === undefined ? {} : { memoryGiB: options.memory }),
    ...searchOf(options),
    ...(options.allowWeb === true ? { web: true } : {}),
    ...lengths(options),
    ...(options.branch === undefined ? {} : { branch: branchingOf(options.branch) }),
  };
  return (await controller.train(request)).run;
}

/** Whether a person gave an option, or its value is its default. */
export type Chosen = (option: string) => boolean;

/** What a branch takes over as it is, since its score would otherwise mean something else. */
const takenOver = ['task', 'corpus', 'model', 'method', 'rank', 'alpha', 'weights', 'keys', 'activations', 'memory', 'branch', 'passages', 'words', 'taskSet', 'map', 'allowWeb', 'resume']; // prettier-ignore

export async function branch(
  controller: Controller,
  named: string,
  options: TrainOptions,
  chosen: Chosen,
): Promise<string> {
  const odd = takenOver.find(chosen);
  if (odd !== undefined)
    throw new UserError(
      `A branch keeps what it branches from, so --from does not go with --${odd.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}; leave one out`,
    );
  const [run, at] = named.split('@');
  const { checkpoints } = await controller.run(run);
  const step = at === undefined ? checkpoints.at(-1)?.step : Number(at);
  if (step === undefined) throw new UserError(`Run ${run} has no checkpoint yet; let it train a few steps first`);
  const request: BranchRequest = {
    run,
    step,
    ...(chosen('cast') ? { cast: await castOf(options.cast) } : {}),
    ...(chosen('seed') ? { seed: options.seed } : {}),
    ...(chosen('learn') || options.set.length > 0 ? await changedLearning(controller, run, options, chosen) : {}),
    ...lengths(options),
  };
  return (await controller.branch(request)).run;
}

/** `--set` alone means the way the run learns already. */
async function changedLearning(
  controller: Controller,
  run: string,
  options: TrainOptions,
  chosen: Chosen,
): Promise<Pick<TrainRequest, 'ppo' | 'sft'>> {
  const { settings: frozen } = (await controller.run(run)).config;
  return learningOf(chosen('learn') ? options : { ...options, learn: frozen.sft === undefined ? 'ppo' : 'sft' });
}

function branchingOf(how: string | true): true | 'best' {
  if (how === true || how === 'best') return how;
  throw new UserError(`No such way to branch: ${how}; leave it out, or use best`);
}

type Lengths = 'steps' | 'queries' | 'samples' | 'evalEvery' | 'evalLimit' | 'checkpointEvery';

/** What says how long a run is; only what was given. */
function lengths(options: TrainOptions): Pick<TrainRequest, Lengths | 'keepCheckpoints'> {
  const names: Lengths[] = ['steps', 'queries', 'samples', 'evalEvery', 'evalLimit', 'checkpointEvery'];
  return {
    ...Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]))),
    ...(options.keepCheckpoints === true ? { keepCheckpoints: 'all' } : {}),
  };
}

function learningOf({ learn, set }: TrainOptions): Pick<TrainRequest, 'ppo' | 'sft'> {
  if (learn !== 'ppo' && learn !== 'sft') throw new UserError(`No such way to learn: ${learn}; use ppo or sft`);
  return { [learn]: settings(set) };
}

function methodOf({ method, rank, alpha }: TrainOptions): Method | undefined {
  if (method === undefined && rank === undefined && alpha === undefined) return undefined;
  if (method === 'full') {
    if (rank !== undefined || alpha !== undefined)
      throw new UserError('--rank and --alpha are of LoRA; leave them out, or use --method lora');
    return { kind: 'full' };
  }
  if (method !== undefined && method !== 'lora') throw new UserError(`No such method: ${method}; use full or lora`);
  return {
    kind: 'lora',
    rank: rank ?? 16,
    alpha: alpha ?? 32,
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
  };
}

export async function castOf(named: string): Promise<string | Cast> {
  if (!named.endsWith('.json')) return named;
  const bytes = await readUserFile(named);
  const [{ parseCast }, { readAs }] = await Promise.all([
    import('../workflows/schema/migrate.ts'),
    import('../workflows/workspace/layout.ts'),
  ]);
  return readAs(parseCast, bytes, named);
}

/** "lr=1e-4", "whiten=role", "kl.coef=0.001" */
export function settings(pairs: readonly string[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [key, ...rest] = pair.split('=');
      if (rest.length === 0 || key === '') throw new UserError(`Not a setting: ${pair}; write key=value`);
      const text = rest.join('=');
      return [
        key,
        text === 'true'
          ? true
          : text === 'false'
            ? false
            : text !== '' && Number.isFinite(Number(text))
              ? Number(text)
              : text,
      ];
    }),
  );
}
