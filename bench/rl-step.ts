/**
 * One step of PPO with random weights, by part: sampling, scoring, learning, and what of these is travel between host and
 * device. Each response runs to its full length, so the work is known, and with it the least time the device's own limits
 * leave each part. The first step compiles; the last is what is reported.
 */
import * as tf from '@tensorflow/tfjs';
import { Cancelled, UserError } from '../engine/errors.ts';
import { ppoSettings } from '../engine/learn/settings.ts';
import { updatePolicy, type TrainRecord } from '../engine/learn/update.ts';
import type { BaseModel } from '../engine/model/base-model.ts';
import { makeTrunk, planFor, tuneModels } from '../engine/model/choose-trunk.ts';
import { makePolicy, type BasePolicy } from '../engine/model/make-policy.ts';
import type { ActivationPrecision, MemoryPlan } from '../engine/protocol.ts';
import { generate } from '../engine/rollout/generate.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { parametersOf, randomWeights, shapeNamed } from './models.ts';
import { profiled, sayProfile, type KernelTime } from './profile.ts';
import { interruptions, progressLines, type Interruptions } from './progress.ts';
import * as rl from './rl-load.ts';
import { roofOf } from './roof.ts';
import { keepResults, precisionOf, rounded, type Bench, type Figures } from './suite.ts';
import { countTransfers, timeTransfers } from './transfers.ts';

/** What is not given is the preset's. */
export type RlStepOptions = {
  readonly preset: string;
  readonly model?: string;
  readonly weights: string;
  readonly activations: string;
  readonly queries?: number;
  readonly tokens?: number;
  readonly method?: string;
  /** Tokens of a micro-batch. */
  readonly microBatch: number;
  readonly steps: number;
  /** What it may take; null where only the device knows. */
  readonly memoryGiB: number | null;
  /** Whether to say where the device's time goes, in one step more. */
  readonly profile: boolean;
};

type Spent = Readonly<Record<rl.Part | 'total', number>>; // seconds
type Measured = { readonly spent: Spent; readonly transferSeconds: number; readonly transfers: object };

export async function benchRlStep(bench: Bench, options: RlStepOptions): Promise<Figures> {
  const preset = rl.PRESETS[options.preset];
  if (!preset)
    throw new UserError(`There is no preset ${options.preset}; choose of ${Object.keys(rl.PRESETS).join(', ')}`);
  const { model = preset.model, queries = preset.queries, tokens = preset.tokens } = options;
  const { roles, settings } = preset;
  const config = shapeNamed(model);
  const method = rl.methodOf(options.method ?? preset.method);
  const load: rl.Load = {
    ...{ config, weights: precisionOf(options.weights), activations: flowOf(bench, options.activations) },
    ...{ roles, queries, tokens, method, settings },
  };
  if (rl.longest(load) > config.contextLength)
    throw new UserError(`${rl.longest(load)} positions, of ${config.contextLength} that ${model} has; give less --tokens`); // prettier-ignore
  bench.say(preset.what);
  bench.say(
    `${model}, ${method.kind}, ${load.activations} between kernels, sampling with ${load.weights} weights: ${rl.recordsOf(load)} records, ` +
      `${rl.promptTokens(load)} prompt tokens, ${rl.responseTokens(load)} response tokens`,
  );
  const plan = planned(bench, load, options);
  const roof = await roofOf(bench);
  const least = rl.leastSeconds(load, roof);
  const sum = rounded(least.generation + least.scoring + least.update);
  bench.say(`by the roof a step takes ${sum} s or more`);
  tuneModels({}, () => {}); // as an engine does
  const { measured, peakBytes, profile } = await measure(bench, load, options);
  const result = reportOf(load, model, measured.at(-1)!, least);
  for (const line of result.lines) bench.say(line);
  const { seconds, records, tokensPerSecond, parts, transfers, versus } = result;
  await keepResults(bench, `rl-step-${model}`, {
    ...{ preset: options.preset, model, method: method.kind, rank: method.kind === 'lora' ? rl.RANK : null },
    ...{
      weights: load.weights,
      activations: load.activations,
      queries,
      tokens,
      microBatch: options.microBatch,
      records,
      roof,
    },
    ...{ promptTokens: rl.promptTokens(load), responseTokens: rl.responseTokens(load) },
    ...{ compiles: options.steps === 1, seconds, tokensPerSecond, parts, transfers, versus },
    ...{ steps: measured.map(({ spent }) => spent), profile },
    memory: { plannedBytes: plan?.peakBytes ?? null, plan: plan?.parts ?? null, ...peakBytes },
  });
  return { rl_step_seconds: seconds, ...(versus ? { rl_step_vs_verl: versus.timesAsFast } : {}) };
}

function flowOf({ device }: Bench, name: string): ActivationPrecision {
  if (name !== 'f32' && name !== 'f16') throw new UserError(`There are no ${name} activations; choose of f32, f16`);
  if (name === 'f16' && !device.gpu!.features.has('shader-f16'))
    throw new UserError(`${device.info.name} has no half floats to compute with; leave out --activations f16`);
  return name;
}

/** What it will take, at most; refuses what is known not to fit. */
function planned(bench: Bench, load: rl.Load, { microBatch, memoryGiB }: RlStepOptions): MemoryPlan | null {
  const free = memoryGiB === null ? null : memoryGiB * 2 ** 30;
  // An emulated adapter lives in the machine's memory; of a GPU's nobody tells.
  const most = free ?? (bench.device.info.software ? process.availableMemory() : Number.MAX_SAFE_INTEGER);
  const plan = planFor(load.config, {
    ...{
      policies: [load.method],
      rollout: load.weights,
      activations: load.activations,
      sequences: load.queries,
      positions: rl.longest(load),
    },
    ...{ tokenBudget: microBatch, mostBytes: most },
  });
  if (!plan) return null;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toPrecision(3)} GiB`;
  bench.say(`memory planned: ${gib(plan.peakBytes)} at most`);
  if (plan.peakBytes <= most) return plan;
  const fewer = plan.tokenBudget === null ? 'a smaller --model or --method lora' : `--micro-batch ${plan.tokenBudget}`;
  throw new UserError(`Out of memory before it begins: the step takes up to ${gib(plan.peakBytes)} of ${gib(most)}; try ${fewer}.`); // prettier-ignore
}

type Peaks = { readonly peakDeviceBytes: number; readonly peakProcessBytes: number };

async function measure(
  bench: Bench,
  load: rl.Load,
  { steps, microBatch, profile }: RlStepOptions,
): Promise<{
  readonly measured: readonly Measured[];
  readonly peakBytes: Peaks;
  readonly profile: readonly KernelTime[] | null;
}> {
  const policy = policyOn(load);
  const gpu = activeGpu();
  const interrupted = interruptions(bench.say);
  let peakDeviceBytes = 0;
  const look = (): void => {
    peakDeviceBytes = Math.max(peakDeviceBytes, bench.device.memory().reservedBytes);
  };
  const measured: Measured[] = [];
  let times: readonly KernelTime[] | null = null;
  try {
    for (let step = 0; step < steps; step++) {
      bench.say(step === 0 ? 'first step, which compiles' : `step ${step + 1}`);
      const counting = countTransfers(gpu);
      const spent = await onePpoStep(bench, policy, { load, microBatch, steps, step }, interrupted, look);
      counting.stop();
      const transferSeconds = rounded(await timeTransfers(gpu, counting.counted));
      measured.push({ spent, transferSeconds, transfers: counting.counted });
      const { generation, scoring, update, total } = spent;
      bench.say(`  ${total} s: generation ${generation}, scoring ${scoring}, update ${update}; of it transfers ${transferSeconds}`); // prettier-ignore
    }
    if (profile) {
      const again = async (): Promise<void> => {
        await onePpoStep(bench, policy, { load, microBatch, steps: steps + 1, step: steps }, interrupted, look);
      };
      times = await profiled(gpu, again);
      sayProfile(bench, times, measured.at(-1)!.spent.total * 1000);
    }
  } finally {
    interrupted.end();
  }
  policy.dispose();
  policy.base.dispose();
  return {
    measured,
    profile: times,
    peakBytes: { peakDeviceBytes, peakProcessBytes: process.resourceUsage().maxRSS * 1024 },
  };
}

type OneStep = {
  readonly load: rl.Load;
  readonly microBatch: number;
  readonly steps: number;
  readonly step: number;
};

async function onePpoStep(
  { device, say }: Bench,
  policy: BasePolicy,
  { load, microBatch, steps, step }: OneStep,
  { cancelled }: Interruptions,
  look: () => void,
): Promise<Spent> {
  const progress = progressLines(say);
  const yieldToEvents = async (): Promise<void> => {
    look();
    await device.yieldToEvents();
  };
  const hooks = { onProgress: progress, cancelled, yieldToEvents };
  const started = performance.now();
  const records: TrainRecord[] = [];
  let drawn = 0;
  const onToken = (): void => progress('generation', ++drawn, rl.responseTokens(load));
  for (const role of load.roles) {
    const speaker = { trunk: policy.trunk, using: policy.using(), tokenizer: null };
    const answers = await generate(speaker, rl.ordersOf(load, role, step), { onToken, cancelled, yieldToEvents });
    records.push(...answers.map((answer, query) => rl.recordOf(role, query, answer)));
    if (cancelled()) throw new Cancelled('generation');
  }
  const sampled = performance.now();
  const trained = { parameters: parametersOf(load.config), method: load.method.kind, totalSteps: steps };
  const settings = ppoSettings(trained, { roleGradients: 0, tokenBudget: microBatch, ...load.settings });
  const { timing, notes } = await updatePolicy(policy, records, settings, step, hooks);
  await device.gpu!.queue.onSubmittedWorkDone();
  const done = performance.now();
  for (const note of notes) say(`  ${note}`);
  const seconds = (ms: number): number => Number((ms / 1000).toFixed(3));
  return {
    generation: seconds(sampled - started),
    scoring: seconds(timing.oldLogprobsMs),
    update: seconds(done - sampled - timing.oldLogprobsMs),
    total: seconds(done - started),
  };
}

/** The figures of a step and the lines that tell them: each part's share, its tokens a second, and what the roof leaves it. */
function reportOf(
  load: rl.Load,
  model: string,
  { spent, transferSeconds, transfers }: Measured,
  least: Readonly<Record<rl.Part, number>>,
) {
  const [prompts, responses, records] = [rl.promptTokens(load), rl.responseTokens(load), rl.recordsOf(load)];
  const all = prompts + responses;
  const parts = (['generation', 'scoring', 'update'] as const).map((part) => ({
    ...{ part, seconds: spent[part], share: rounded(spent[part] / spent.total) },
    tokensPerSecond: rounded((part === 'generation' ? responses : all) / spent[part]),
    ...{ leastSeconds: rounded(least[part]), ofRoof: rounded(least[part] / spent[part]) },
  }));
  const versus = rl.besidePublished(load, model, spent.total);
  return {
    ...{ seconds: spent.total, records, tokensPerSecond: rounded(all / spent.total), parts, versus },
    transfers: { seconds: transferSeconds, share: rounded(transferSeconds / spent.total), ...transfers },
    lines: [
      ...parts.map(
        ({ part, seconds, share, tokensPerSecond, ofRoof }) =>
          `${part.padEnd(10)} ${String(seconds).padStart(8)} s  ${(100 * share).toFixed(0).padStart(3)} %  ${tokensPerSecond} tokens/s, ${(100 * ofRoof).toPrecision(2)} % of the roof`,
      ),
      `whole step ${String(spent.total).padStart(8)} s  ${rounded(all / spent.total)} tokens/s; travel by itself takes ${transferSeconds} s of it`,
      ...(versus
        ? [`${versus.timesAsFast} times as fast as the published ${versus.seconds} s (${versus.source})`]
        : []),
    ],
  };
}

function policyOn({ config, method, activations, weights: rollout }: rl.Load): BasePolicy {
  const weights = randomWeights(config);
  const trunk = makeTrunk(config);
  const dispose = (): void => {
    trunk.dispose();
    tf.dispose(weights);
  };
  // Policies read no files; what a model's source could tell is never asked here.
  const base = { name: 'random', config, trunk, weights, tokenizer: null, dispose } as unknown as BaseModel;
  return makePolicy(
    { policy: 'measured', model: 'random', method, frozen: false, seed: 1, rollout, activations },
    base,
  );
}
