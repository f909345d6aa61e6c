/**
 * Training on WebGPU: one optimiser step, with LoRA adapters of rank 16 on every linear layer or of all weights, with the
 * hand-written trunk, head and optimiser, exact and with half floats between kernels, and with plain tfjs operations, on the same adapter, weights and examples, in one
 * process and by turns. What is timed is the product's own step of supervised fine-tuning, which shares all but the loss with PPO's.
 */
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../engine/device/open.ts';
import { isOutOfMemory } from '../engine/device/out-of-memory.ts';
import { UserError } from '../engine/errors.ts';
import type { ModelConfig } from '../engine/formats/config.ts';
import { LINEAR_LAYERS } from '../engine/formats/peft.ts';
import { sftSettings } from '../engine/learn/settings.ts';
import { fineTune, type SftSequence } from '../engine/learn/sft.ts';
import type { BaseModel } from '../engine/model/base-model.ts';
import { makeTrunk, useTrunk, type TrunkKind } from '../engine/model/choose-trunk.ts';
import { layoutOf } from '../engine/model/layout.ts';
import { makePolicy, type BasePolicy } from '../engine/model/make-policy.ts';
import type { Weights } from '../engine/model/trunk.ts';
import type { ActivationPrecision, PolicySpec, TrainMethod } from '../engine/protocol.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { cutFor } from '../engine/webgpu/sized-kernel.ts';
import { trainingBytes } from '../engine/webgpu/training-memory.ts';
import { parametersOf, randomWeights, shapeNamed } from './models.ts';
import { profiled, sayProfile } from './profile.ts';
import { roofOf, type Roof } from './roof.ts';
import { torchBeside, type TorchRates } from './torch.ts';
import { keepResults, rounded, SLOW_SECONDS, type Bench, type Figures } from './suite.ts';

export type TrainOptions = {
  readonly models: readonly string[];
  readonly methods: readonly string[];
  /** Tokens of a step, prompts and responses. */
  readonly tokens: number;
  /** Whether to say where a step's time goes. */
  readonly profile: boolean;
};

/** An example has so many tokens, a quarter of which are its response. */
const EXAMPLE = 128;
const RESPONSE_SHARE = 0.25;
const RANK = 16;
const TURNS = 2;
type Way = { readonly trunk: TrunkKind; readonly precision: ActivationPrecision };
const WAYS: readonly Way[] = [
  { trunk: 'fast', precision: 'f32' },
  { trunk: 'fast', precision: 'f16' },
  { trunk: 'tfjs', precision: 'f32' },
];
const METHODS: Readonly<Record<string, TrainMethod>> = {
  lora: { kind: 'lora', rank: RANK, alpha: 2 * RANK, targets: LINEAR_LAYERS.map((linear) => linear.split('.')[1]) },
  full: { kind: 'full' },
};

type Timed = {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly losses: readonly number[];
  /** Buffers at the peak of the step after the first, beyond what there was before it: weights, moments, other policies. */
  readonly takenBytes: number;
};
type Step = Way & {
  readonly model: string;
  readonly method: string;
  /** Null where memory ran out. */
  readonly timed: Timed | null;
  readonly tokensPerSecond: number | null;
  /** Share of the measured multiply-add rate: 4 operations a parameter and token with adapters, 6 with all weights. */
  readonly ofRoof: number | null;
};

export async function benchTrain(bench: Bench, { models, methods, tokens, profile }: TrainOptions): Promise<Figures> {
  const wrong = methods.find((method) => !(method in METHODS));
  if (wrong !== undefined) throw new UserError(`There is no method ${wrong}; choose of lora, full`);
  const ways = WAYS.filter(({ precision }) => precision === 'f32' || bench.device.gpu!.features.has('shader-f16'));
  const shapes = models.map((name) => ({ name, config: shapeNamed(name) }));
  const roof = await roofOf(bench);
  const steps: Step[] = [];
  const memory: Record<string, unknown>[] = [];
  const torch: (TorchRates | null)[] = [];
  for (const { name, config } of shapes) {
    for (const method of methods) {
      const examples = examplesOf(config, examplesFor(tokens));
      const rows = examples.length * EXAMPLE;
      for (const { precision } of ways.filter(({ trunk }) => trunk === 'fast')) {
        const planned = trainingBytes(config, {
          ...{ rows, asked: (rows * RESPONSE_SHARE) | 0, trained: trainedBy(METHODS[method], config) },
          ...{ activations: precision, texels: cutFor(activeGpu()).handRound > 0 },
        });
        memory.push({ model: name, method, precision, planned });
        bench.say(`${name}  ${method}  ${precision}  memory planned: ${(planned.total / 2 ** 20).toFixed(0)} MiB`);
      }
      const timed = await timeSteps(bench, name, config, METHODS[method], ways, examples, profile);
      for (const [i, way] of ways.entries()) {
        const step = stepOf(name, config, method, way, timed[i], rows, roof);
        steps.push(step);
        bench.say(lineOf(step));
      }
    }
    torch.push(
      await torchBeside(bench, {
        ...{ dtype: 'float32', model: config, batches: [], rank: RANK, methods, tokens: 1 },
        ...{
          examples: examplesFor(tokens),
          prompt: EXAMPLE * (1 - RESPONSE_SHARE),
          response: EXAMPLE * RESPONSE_SHARE,
        },
      }),
    );
  }
  await keepResults(bench, 'train', { roof, tokens, rank: RANK, steps, torch, memory });
  const ratio = ratioOf(steps);
  return ratio === null ? {} : { lora_step_vs_tfjs: ratio };
}

const examplesFor = (tokens: number): number => Math.max(1, Math.round(tokens / EXAMPLE));

function trainedBy(method: TrainMethod, config: ModelConfig): number {
  return layoutOf(specOf('measured', method), config).reduce((sum, { size }) => sum + size, 0);
}

const specOf = (policy: string, method: TrainMethod, activations: ActivationPrecision = 'f32'): PolicySpec => ({
  ...{ policy, model: 'random', method, frozen: false, seed: 1, activations },
});

function stepOf(
  model: string,
  config: ModelConfig,
  method: string,
  way: Way,
  timed: Timed | null,
  rows: number,
  roof: Roof,
): Step {
  if (timed === null) return { model, method, ...way, timed, tokensPerSecond: null, ofRoof: null };
  const tokensPerSecond = rows / timed.seconds;
  const flops = (method === 'lora' ? 4 : 6) * parametersOf(config) * tokensPerSecond;
  return {
    ...{ model, method, ...way, timed, tokensPerSecond: rounded(tokensPerSecond) },
    ofRoof: rounded(flops / roof.fmaGflops / 1e9),
  };
}

function lineOf({ model, method, trunk, precision, timed, tokensPerSecond, ofRoof }: Step): string {
  const who = `${model}  ${method} step  ${trunk}  ${precision}`;
  if (timed === null) return `${who}  does not fit this device`;
  return (
    `${who}  ${timed.seconds.toFixed(2)} s (${timed.cpuSeconds.toFixed(2)} s of processor time), ${tokensPerSecond} tokens/s; ` +
    `${(100 * ofRoof!).toPrecision(2)} % of the roof; peak ${(timed.takenBytes / 2 ** 20).toFixed(0)} MiB beyond the weights`
  );
}

/** Of the first model measured with adapters. */
function ratioOf(steps: readonly Step[]): number | null {
  const of = (trunk: TrunkKind): number | undefined =>
    steps.find((step) => step.trunk === trunk && step.precision === 'f32' && step.method === 'lora')?.timed?.seconds;
  const [fast, tfjs] = [of('fast'), of('tfjs')];
  return fast === undefined || tfjs === undefined ? null : rounded(tfjs / fast);
}

/** By turns, so that a passing load falls on both; the best of each, after one step that compiles. */
async function timeSteps(
  bench: Bench,
  name: string,
  config: ModelConfig,
  method: TrainMethod,
  ways: readonly Way[],
  examples: readonly SftSequence[],
  profile: boolean,
): Promise<(Timed | null)[]> {
  const { device } = bench;
  const weights = randomWeights(config);
  const best: (Timed | null)[] = ways.map(() => null);
  const subjects = ways.map((way) => subject(way, name, config, method, weights));
  for (let turn = 0; turn <= TURNS; turn++)
    for (const [i, { trunk }] of ways.entries()) {
      if (turn > 1 && best[i] && best[i].seconds > SLOW_SECONDS) continue;
      const before = useTrunk(trunk);
      try {
        if (turn === 1) activeGpu().trim();
        const held = device.memory().usedBytes;
        const { loss, ...timed } = await timedStep(subjects[i].policy, config, device, examples, turn);
        const losses = [...(best[i]?.losses ?? []), loss];
        const takenBytes = turn < 2 ? device.memory().reservedBytes - held : best[i]!.takenBytes;
        const better = turn < 2 || timed.seconds < best[i]!.seconds;
        best[i] = { ...(better ? timed : best[i]!), losses, takenBytes };
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
      } finally {
        useTrunk(before);
      }
    }
  if (profile) {
    const again = async (): Promise<void> => {
      await timedStep(subjects[0].policy, config, device, examples, TURNS + 1);
    };
    sayProfile(bench, await profiled(activeGpu(), again), (best[0]?.seconds ?? NaN) * 1000);
  }
  for (const { dispose } of subjects) dispose();
  tf.dispose(weights);
  return best;
}

async function timedStep(
  policy: BasePolicy,
  config: ModelConfig,
  device: Device,
  examples: readonly SftSequence[],
  step: number,
): Promise<{ seconds: number; cpuSeconds: number; loss: number }> {
  const method = policy.spec.method.kind;
  const settings = sftSettings({ parameters: parametersOf(config), method, totalSteps: 10 });
  const hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: () => device.yieldToEvents() };
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const { loss } = await fineTune(policy, [...examples], settings, step, hooks);
  await device.gpu!.queue.onSubmittedWorkDone();
  const used = process.cpuUsage(cpu);
  return { seconds: (performance.now() - started) / 1000, cpuSeconds: (used.user + used.system) / 1e6, loss };
}

function examplesOf(config: ModelConfig, count: number): SftSequence[] {
  const some = (length: number, seed: number): number[] =>
    Array.from({ length }, (_, t) => (seed * 131 + t * 17) % config.vocab);
  const response = EXAMPLE * RESPONSE_SHARE;
  return Array.from({ length: count }, (_, i) => ({
    ...{ role: 'r', promptIds: some(EXAMPLE - response, i), ids: some(response, i + 50) },
  }));
}

function subject(
  { trunk: kind, precision }: Way,
  name: string,
  config: ModelConfig,
  method: TrainMethod,
  weights: Weights,
): { policy: BasePolicy; dispose(): void } {
  const before = useTrunk(kind);
  const trunk = makeTrunk(config);
  useTrunk(before);
  // Policies read no files; what a model's source could tell is never asked here.
  const base = { name, config, trunk, weights, tokenizer: null } as unknown as BaseModel;
  const policy = makePolicy(specOf(`${kind} ${precision}`, method, precision), base);
  return {
    policy,
    dispose: () => {
      policy.dispose();
      trunk.dispose();
    },
  };
}
