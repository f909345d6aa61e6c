/** `troupe train`: PPO on a workflow. Ctrl-C finishes nothing half: it saves, and says how to go on. */
import path from 'node:path';
import { existsSync } from 'node:fs';
import { InvalidArgumentError, type Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { Controller } from '../workflows/controller.ts';
import type { Job, TrainRequest } from '../workflows/protocol.ts';
import type { Cast, Method } from '../workflows/schema/cast.ts';
import type { Evaluation, StepMetrics } from '../workflows/schema/run.ts';
import { readUserFile, runAt, workspaceFolder } from './place.ts';
import { bar, duration, fixed, type Output } from './output.ts';
import { exitCodes, withSession, type Common } from './session.ts';

type TrainOptions = Common & {
  task: string;
  corpus?: string;
  model: string;
  method?: string;
  rank?: number;
  alpha?: number;
  cast: string;
  steps?: number;
  queries?: number;
  samples?: number;
  branch?: boolean;
  evalEvery?: number;
  evalLimit?: number;
  checkpointEvery?: number;
  seed: number;
  out?: string;
  resume?: string | true;
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

export function addTrain(program: Command): void {
  program
    .command('train')
    .description('train the models behind a workflow, with PPO or on what went well')
    .argument('[workflow]', 'template, saved workflow or .json file', 'qd-answer')
    .option('--task <name>', 'task, or a JSONL file of questions', 'village-qa')
    .option('--corpus <file>', 'JSONL file of {title, text} to search')
    .option('--model <name>', 'model, or a folder or .gguf file', 'nano')
    .option('--method <kind>', 'full or lora (default: full below 30M parameters)')
    .option('--rank <n>', 'LoRA rank', whole)
    .option('--alpha <n>', 'LoRA alpha', Number)
    .option('--cast <name>', 'shared, separate, a cast of the workflow, or a .json file', 'shared')
    .option('--steps <n>', 'updates', whole)
    .option('--queries <n>', 'questions a step', whole)
    .option('--samples <n>', 'answers to each question in a step, for the group estimators', whole)
    .option('--branch', 'samples after the first branch off it, one call each')
    .option('--eval-every <n>', 'steps between evaluations', whole)
    .option('--eval-limit <n>', 'held-out questions an evaluation takes at most', whole)
    .option('--checkpoint-every <n>', 'steps between checkpoints', whole)
    .option('--seed <n>', 'seed of everything random', whole, 0)
    .option('--learn <how>', 'ppo, or sft: rounds of fine-tuning on what went well', 'ppo')
    .option(
      '--set <key=value>',
      'a setting of how it learns, e.g. lr=1e-4 (repeatable; docs/training.md lists them)',
      collect,
      [],
    )
    .option('--map <fields>', 'which fields of the file are what: question=prompt,answer=target')
    .option('--task-set <key=value>', 'an option of the task, e.g. heldOut=100 (repeatable)', collect, [])
    .option('--passages <n>', 'passages a search gives at most', whole)
    .option('--words <n>', 'words kept of each passage; 0 keeps all', whole)
    .option('--allow-web', 'let tools read the web, from the hosts their nodes name')
    .option('--device <kind>', 'auto, webgpu, wasm or cpu', 'auto')
    .option('--out <folder>', 'workspace folder to keep the run in')
    .option('--resume [run]', 'go on with a run: its id or folder; the newest unfinished one without a value')
    .option('--workspace <folder>', 'workspace (default: TROUPE_WORKSPACE or .troupe)')
    .option('--json', 'one JSON object a line')
    .action(trainCommand);
}

async function trainCommand(workflow: string, options: TrainOptions): Promise<void> {
  const place = () =>
    typeof options.resume === 'string'
      ? runAt(options.resume, options.out ?? options.workspace)
      : { run: null, workspace: workspaceFolder(options.out ?? options.workspace) };
  const watch: Watch = { steps: [], lastLine: 0 };
  await withSession(
    options,
    { onJob: (job) => watch.onJob?.(job), onStep: (_run, metrics) => watch.onStep?.(metrics) },
    async ({ controller, output, workspace: folder }) => {
      const named = place().run;
      listen(watch, output);
      const started = performance.now();
      const run =
        options.resume === undefined ? await begin(controller, workflow, options) : await goOn(controller, named);
      output.say(`run ${run} in ${path.join(folder, 'runs', run)}`);
      const stopListening = onInterrupt(() => void controller.pause(run), output);
      await controller.settled(run);
      stopListening();
      return conclude(controller, output, { run, folder, seconds: (performance.now() - started) / 1_000 });
    },
    () => place().workspace,
  );
}

type Watch = { steps: StepMetrics[]; lastLine: number; onJob?(job: Job): void; onStep?(metrics: StepMetrics): void };

function listen(watch: Watch, output: Output): void {
  watch.onJob = (job) => {
    const due = performance.now() - watch.lastLine > 30_000;
    if (due) watch.lastLine = performance.now();
    output.progress(
      `${bar(job.step, job.steps)} step ${job.step} of ${job.steps} · ${job.phase} ${job.done}/${job.total} · ${duration(job.etaMs)} left`,
      due && job.state === 'running',
    );
  };
  watch.onStep = (metrics) => {
    watch.lastLine = performance.now();
    output.emit({ event: 'step', ...metrics });
    output.say(stepLine(metrics));
    for (const note of metrics.notes) output.warn(note);
  };
}

export function stepLine({ step, rollout, policies, eval: held, timing }: StepMetrics): string {
  const sampled =
    step === 0
      ? ''
      : `sampled ${rolloutScore(rollout)} reward ${fixed(rollout.reward)} legal ${fixed(rollout.legal, 2)} `;
  const kl = Object.values(policies)
    .map((policy) => policy['losses/approx_kl'])
    .filter((value) => value !== undefined);
  const spread = kl.length === 0 ? '' : `KL ${Math.max(...kl).toExponential(1)} `;
  const loss = Object.values(policies).map((policy) => policy['losses/sft']);
  const tuned = loss.every((value) => value === undefined)
    ? ''
    : `loss ${loss.map((value) => fixed(value)).join(' ')} `;
  const dropped = rollout.dropped ? `dropped ${rollout.dropped} ` : '';
  const heldOut = held ? `| held-out ${scored(held)} legal ${fixed(held.legal, 2)} (${held.n}) ` : '';
  return `step ${step}: ${sampled}${spread}${tuned}${dropped}${heldOut}| ${duration((timing.stepMs ?? 0) + (timing.evalMs ?? 0))}`;
}

/** F1, or the task's own score where that is another. */
function rolloutScore({ f1, score }: StepMetrics['rollout']): string {
  return score === undefined || score === f1 ? `F1 ${fixed(f1)}` : `score ${fixed(score)}`;
}

const metricNames: Readonly<Record<string, string>> = { number: 'right answers', passed: 'all tests passed' };

/** "F1 .330  EM .310", or what the task is scored by instead of the two. */
export function scored({
  f1,
  em,
  score,
  metric,
  rounds,
}: Pick<Evaluation, 'f1' | 'em' | 'score' | 'metric' | 'rounds'>): string {
  if (scoredByWords(metric)) return `F1 ${fixed(f1)} EM ${fixed(em)}`;
  return `${metricNames[metric!] ?? metric} ${fixed(score)}${rounds === undefined ? '' : ` in ${fixed(rounds, 2)} rounds`}`;
}

function scoredByWords(metric: string | undefined): boolean {
  return metric === undefined || metric === 'f1' || metric === 'em';
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

async function begin(controller: Controller, workflow: string, options: TrainOptions): Promise<string> {
  const method = methodOf(options);
  const request: TrainRequest = {
    workflow,
    task: located(options.task),
    model: located(options.model),
    cast: await castOf(options.cast),
    seed: options.seed,
    ...learningOf(options),
    taskOptions: taskOptionsOf(options),
    ...(options.corpus === undefined ? {} : { corpus: located(options.corpus) }),
    ...(method === undefined ? {} : { method }),
    ...searchOf(options),
    ...(options.allowWeb === true ? { web: true } : {}),
    ...(options.steps === undefined ? {} : { steps: options.steps }),
    ...(options.queries === undefined ? {} : { queries: options.queries }),
    ...(options.samples === undefined ? {} : { samples: options.samples }),
    ...(options.branch === undefined ? {} : { branch: options.branch }),
    ...(options.evalEvery === undefined ? {} : { evalEvery: options.evalEvery }),
    ...(options.evalLimit === undefined ? {} : { evalLimit: options.evalLimit }),
    ...(options.checkpointEvery === undefined ? {} : { checkpointEvery: options.checkpointEvery }),
  };
  return (await controller.train(request)).run;
}

function learningOf({ learn, set }: TrainOptions): Pick<TrainRequest, 'ppo' | 'sft'> {
  if (learn !== 'ppo' && learn !== 'sft') throw new UserError(`No such way to learn: ${learn}; use ppo or sft`);
  return { [learn]: settings(set) };
}

async function goOn(controller: Controller, named: string | null): Promise<string> {
  const runs = await controller.runs();
  const run = named === null ? runs.find((each) => each.state === 'paused')?.id : named;
  if (run === undefined) throw new UserError('There is no unfinished run to resume; start one without --resume');
  const found = runs.find((each) => each.id === run);
  if (!found)
    throw new UserError(
      `No such run: ${run}; there are ${
        runs
          .slice(0, 8)
          .map((each) => each.id)
          .join(', ') || 'none'
      }`,
    );
  await controller.resume(run);
  return run;
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

/** The first Ctrl-C pauses and saves; a second one leaves at once, to be resumed from the last checkpoint. */
export function onInterrupt(pause: () => void, output: Output): () => void {
  let askedAt: number | null = null;
  const handle = () => {
    // One key press can reach us twice: from the terminal, and passed on by whoever started us.
    if (askedAt !== null && performance.now() - askedAt < 500) return;
    if (askedAt !== null) process.exit(exitCodes.interrupted);
    askedAt = performance.now();
    output.warn('Pausing: the current step is saved or set aside. Press Ctrl-C again to leave at once.');
    pause();
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
}

async function conclude(
  controller: Controller,
  output: Output,
  { run, folder, seconds }: { run: string; folder: string; seconds: number },
): Promise<number> {
  const { config, state, metrics } = await controller.run(run);
  const place = path.join(folder, 'runs', run);
  if (state === 'paused' || state === 'stopped') {
    output.emit({ event: 'paused', run: place, steps: metrics.at(-1)?.step ?? 0 });
    output.warn(
      `Paused after step ${metrics.at(-1)?.step ?? 0}. Go on with: npm run troupe -- train --resume ${place}`,
    );
    return exitCodes.interrupted;
  }
  const evaluations = metrics.flatMap((each) => (each.eval ? [each.eval] : []));
  const scores = ({ f1, em, legal, n, score, metric, rounds }: Evaluation) => ({
    f1,
    em,
    legal,
    n,
    ...(scoredByWords(metric) ? {} : { score, metric }),
    ...(rounds === undefined ? {} : { rounds }),
  });
  const [before, after] = [evaluations[0], evaluations[evaluations.length - 1]];
  output.say(
    `held-out ${scored(before)} → ${scored(after)}, legal ${fixed(before.legal, 2)} → ${fixed(after.legal, 2)} in ${config.settings.steps} steps, ${duration(seconds * 1_000)} on ${config.device.name}`,
  );
  output.emit({
    event: 'done',
    run: place,
    steps: config.settings.steps,
    seconds,
    device: config.device.name,
    before: scores(before),
    after: scores(after),
  });
  return exitCodes.done;
}
