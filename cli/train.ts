/** `troupe train`: PPO on a workflow. Ctrl-C finishes nothing half: it saves, and says how to go on. */
import path from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/errors.ts';
import type { Controller } from '../workflows/controller.ts';
import type { Job } from '../workflows/protocol.ts';
import type { Evaluation, StepMetrics } from '../workflows/schema/run.ts';
import { runAt, workspaceFolder } from './place.ts';
import { bar, duration, fixed, type Output } from './output.ts';
import { begin, branch, collect, whole, type Chosen, type TrainOptions } from './request.ts';
import { exitCodes, withSession } from './session.ts';

export function addTrain(program: Command): void {
  program
    .command('train')
    .description('train the models behind a workflow, with PPO or on what went well')
    .argument('[workflow]', 'template, saved workflow or .json file', 'qd-answer')
    .option(
      '--task <name>',
      'task, or a JSONL file of questions (default: village-qa; village-code for a team that runs tests)',
    )
    .option('--corpus <file>', 'JSONL file of {title, text} to search')
    .option('--model <name>', 'model, or a folder or .gguf file', 'nano')
    .option('--method <kind>', 'full or lora (default: full below 30M parameters)')
    .option('--rank <n>', 'LoRA rank', whole)
    .option('--alpha <n>', 'LoRA alpha', Number)
    .option('--cast <name>', 'shared, separate, a cast of the workflow, or a .json file', 'shared')
    .option('--weights <kind>', 'weights that tokens are sampled with: f32, q8, q4 or, on WebGPU, f16 (default: f32)')
    .option(
      '--keys <kind>',
      'keys and values that sampling keeps: f32 or f16 (WebGPU only; default: f16 beside weights less exact than f32)',
    )
    .option(
      '--activations <kind>',
      'what flows between kernels, sampling and learning: f32 or f16 (WebGPU with shader-f16 only; default: f32)',
    )
    .option('--memory <GiB>', 'device memory it may take at most (WebGPU only)', Number)
    .option('--steps <n>', 'updates', whole)
    .option('--queries <n>', 'questions a step', whole)
    .option('--samples <n>', 'answers to each question in a step, for the group estimators', whole)
    .option('--branch [off]', 'samples after the first branch off it, one call each; with best, off the best so far')
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
    .option(
      '--from <run[@step]>',
      'a new run that goes on from a checkpoint of this one; only what is given changes (also --cast, --set)',
    )
    .option('--keep-checkpoints', 'keep every checkpoint, beside the newest and the best')
    .option('--workspace <folder>', 'workspace (default: TROUPE_WORKSPACE or .troupe)')
    .option('--json', 'one JSON object a line')
    .action((workflow: string, options: TrainOptions, command: Command) =>
      trainCommand(workflow, options, (name) => command.getOptionValueSource(name) === 'cli'),
    );
}

async function trainCommand(workflow: string, options: TrainOptions, chosen: Chosen): Promise<void> {
  const named = typeof options.resume === 'string' ? options.resume : options.from;
  const place = () =>
    named !== undefined
      ? runAt(named, options.out ?? options.workspace)
      : { run: null, workspace: workspaceFolder(options.out ?? options.workspace) };
  const watch: Watch = { steps: [], lastLine: 0 };
  await withSession(
    options,
    { onJob: (job) => watch.onJob?.(job), onStep: (_run, metrics) => watch.onStep?.(metrics) },
    async ({ controller, output, workspace: folder }) => {
      const { run: earlier } = place();
      listen(watch, output);
      const started = performance.now();
      const run =
        options.from !== undefined
          ? await branch(controller, earlier!, options, chosen)
          : options.resume === undefined
            ? await begin(controller, workflow, options)
            : await goOn(controller, earlier);
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
