/**
 * Training on WebGPU: one optimiser step with LoRA adapters on every linear layer, with the hand-written trunk, head and
 * optimiser and with plain tfjs operations, on the same adapter, weights and examples, in one process and by turns. The model
 * has the shape of MiniMind2-Small (25.8M parameters) and random weights; what is timed is the product's own step of
 * supervised fine-tuning, which shares all but the loss with PPO's.
 */
import * as tf from '@tensorflow/tfjs';
import { openDevice, type Device } from '../engine/device/open.ts';
import '../engine/device/register.node.ts';
import { UserError } from '../engine/errors.ts';
import { parameterShapes, type ModelConfig } from '../engine/formats/config.ts';
import { LINEAR_LAYERS } from '../engine/formats/peft.ts';
import { sftSettings } from '../engine/learn/settings.ts';
import { fineTune, type SftSequence } from '../engine/learn/sft.ts';
import type { BaseModel } from '../engine/model/base-model.ts';
import { makeTrunk, useTrunk, type TrunkKind } from '../engine/model/choose-trunk.ts';
import { makePolicy, type BasePolicy } from '../engine/model/make-policy.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { recordProduct, products } from '../engine/webgpu/record-product.ts';
import { Recorder } from '../engine/webgpu/recorder.ts';
import { cutFor } from '../engine/webgpu/sized-kernel.ts';
import { trainingBytes } from '../engine/webgpu/training-memory.ts';
import { describeMachine, saveResults } from './results.ts';

export type TrainOptions = { readonly device: string; readonly json: boolean; readonly out?: string | undefined };

const CONFIG: ModelConfig = {
  ...{ architecture: 'llama', hidden: 512, intermediate: 1408, layers: 8, heads: 8, kvHeads: 2, headDim: 64 },
  ...{ vocab: 6400, contextLength: 32768, ropeTheta: 1e6, ropeScaling: null, rmsEps: 1e-5, tied: true },
  ...{ attentionBias: false, qkNorm: false, eosIds: [], bosId: null, padId: null },
};
const EXAMPLES = { count: 4, prompt: 96, response: 32 } as const;
const RANK = 16;
const TURNS = 2;
const KINDS = ['fast', 'tfjs'] as const;

type Step = {
  readonly trunk: TrunkKind;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly losses: readonly number[];
};

export async function benchTrain(options: TrainOptions): Promise<void> {
  if (options.device !== 'webgpu') throw new UserError(`the suite train measures webgpu, not ${options.device}`);
  const machine = describeMachine();
  const device = await openDevice('webgpu');
  const say = (line: string): void => (options.json ? console.error(line) : console.log(line));
  say(`${device.info.name} (load ${machine.loadBefore} on ${machine.cores} cores)`);
  const product = await measureProducts();
  for (const { orientation, gflops, tfjs } of product) say(`product ${orientation}  ${gflops} GFLOP/s, tfjs ${tfjs}`);
  const steps = await measureSteps(device);
  const tokens = EXAMPLES.count * (EXAMPLES.prompt + EXAMPLES.response - 1);
  for (const { trunk, seconds, cpuSeconds } of steps)
    say(
      `LoRA step  ${trunk}  ${seconds.toFixed(2)} s (${cpuSeconds.toFixed(2)} s of processor time), ${(tokens / seconds).toPrecision(3)} tokens/s`,
    );
  const trained = RANK * loraColumns();
  const bytes = trainingBytes(CONFIG, { rows: tokens, asked: EXAMPLES.count * EXAMPLES.response, trained });
  say(`memory planned: ${(bytes.total / 2 ** 20).toFixed(0)} MiB`);
  const { name, features } = device.info;
  const measured = {
    adapter: { name, features },
    model: CONFIG,
    examples: EXAMPLES,
    rank: RANK,
    steps,
    product,
    bytes,
  };
  say(`written to ${await saveResults('train', machine, name, measured, options.out)}`);
  const [fast, plain] = steps;
  const nt = product.find(({ orientation }) => orientation === 'nt')!;
  const done = {
    event: 'done',
    matmul_vs_tfjs: Number((nt.gflops / nt.tfjs).toFixed(2)),
    lora_step_vs_tfjs: Number((plain.seconds / fast.seconds).toFixed(2)),
  };
  say(`against tfjs: ${done.matmul_vs_tfjs} times in matrix products, ${done.lora_step_vs_tfjs} times in a whole step`);
  if (options.json) console.log(JSON.stringify(done));
  // Dawn keeps a thread that would hold the process.
  process.exit(0);
}

function loraColumns(): number {
  return [...parameterShapes(CONFIG)]
    .filter(([name]) => LINEAR_LAYERS.some((linear) => name.endsWith(`${linear}.weight`)))
    .reduce((sum, [, [out, input]]) => sum + out + input, 0);
}

/** By turns, so that a passing load falls on both; the best of each, after one step that compiles. */
async function measureSteps(device: Device): Promise<[fast: Step, tfjs: Step]> {
  const weights = randomWeights();
  const measured = {} as Record<TrunkKind, Step>;
  const subjects = KINDS.map((trunk) => ({ trunk, ...subject(trunk, weights) }));
  for (let turn = 0; turn <= TURNS; turn++) {
    for (const { trunk, policy, dispose: _ } of subjects) {
      const before = useTrunk(trunk);
      const step = await timedStep(policy, device, turn);
      useTrunk(before);
      const known = measured[trunk];
      const losses = [...(known?.losses ?? []), step.loss];
      const better = turn < 2 || step.seconds < known.seconds;
      measured[trunk] = better ? { trunk, ...step, losses } : { ...known, losses };
    }
  }
  for (const { dispose } of subjects) dispose();
  return [measured.fast, measured.tfjs];
}

async function timedStep(
  policy: BasePolicy,
  device: Device,
  step: number,
): Promise<{ seconds: number; cpuSeconds: number; loss: number }> {
  const settings = sftSettings({ parameters: 25.8e6, method: 'lora', totalSteps: 10 });
  const hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: () => device.yieldToEvents() };
  const [started, cpu] = [performance.now(), process.cpuUsage()];
  const { loss } = await fineTune(policy, examples(), settings, step, hooks);
  await device.gpu!.queue.onSubmittedWorkDone();
  const used = process.cpuUsage(cpu);
  return { seconds: (performance.now() - started) / 1000, cpuSeconds: (used.user + used.system) / 1e6, loss };
}

function examples(): SftSequence[] {
  const some = (length: number, seed: number): number[] =>
    Array.from({ length }, (_, t) => (seed * 131 + t * 17) % CONFIG.vocab);
  return Array.from({ length: EXAMPLES.count }, (_, i) => ({
    ...{ role: 'r', promptIds: some(EXAMPLES.prompt, i), ids: some(EXAMPLES.response, i + 50) },
  }));
}

function subject(kind: TrunkKind, weights: Record<string, tf.Tensor>): { policy: BasePolicy; dispose(): void } {
  const before = useTrunk(kind);
  const trunk = makeTrunk(CONFIG);
  useTrunk(before);
  // Policies read no files; what a model's source could tell is never asked here.
  const base = { name: 'random', config: CONFIG, trunk, weights, tokenizer: null } as unknown as BaseModel;
  const targets = LINEAR_LAYERS.map((linear) => linear.split('.')[1]);
  const method = { kind: 'lora', rank: RANK, alpha: 2 * RANK, targets } as const;
  const policy = makePolicy({ policy: kind, model: 'random', method, frozen: false, seed: 1 }, base);
  return {
    policy,
    dispose: () => {
      policy.dispose();
      trunk.dispose();
    },
  };
}

function randomWeights(): Record<string, tf.Tensor> {
  return Object.fromEntries(
    [...parameterShapes(CONFIG)].map(([name, shape], i) => [
      name,
      name.includes('norm') ? tf.ones([...shape]) : tf.randomUniform([...shape], -0.05, 0.05, 'float32', i),
    ]),
  );
}

type ProductRate = { readonly orientation: 'nt' | 'nn' | 'tn'; readonly gflops: number; readonly tfjs: number };

/** The three products of the feed-forward part, 512 rows. */
async function measureProducts(): Promise<ProductRate[]> {
  const gpu = activeGpu();
  const [rows, wide, hidden] = [512, CONFIG.intermediate, CONFIG.hidden];
  const shapes = { nt: [rows, wide, hidden], nn: [rows, hidden, wide], tn: [wide, hidden, rows] } as const;
  const recorder = new Recorder(gpu);
  const kernels = products(cutFor(gpu.software));
  const rates: ProductRate[] = [];
  for (const orientation of ['nt', 'nn', 'tn'] as const) {
    const [m, n, k] = shapes[orientation];
    const a = tf.randomUniform<tf.Rank.R2>(orientation === 'tn' ? [k, m] : [m, k], -1, 1, 'float32', 1);
    const b = tf.randomUniform<tf.Rank.R2>(orientation === 'nt' ? [n, k] : [k, n], -1, 1, 'float32', 2);
    const c = gpu.allocate([m, n]);
    const [x, y, z] = [a, b, c].map((tensor) => gpu.bufferOf(tensor));
    const ours = await fastest(() => {
      recordProduct(recorder, kernels, orientation, { m, n, k }, [x, y, z]);
      recorder.submit();
    });
    const plain = await fastest(() => {
      tf.matMul(a, b, orientation === 'tn', orientation === 'nt').dispose();
      gpu.run([], 0);
    });
    const rate = (ms: number): number => Number(((2 * m * n * k) / ms / 1e6).toPrecision(3));
    rates.push({ orientation, gflops: rate(ours), tfjs: rate(plain) });
    tf.dispose([a, b, c]);
  }
  recorder.dispose();
  return rates;
}

/** Milliseconds: the best of three, after one that compiles. */
async function fastest(call: () => void): Promise<number> {
  let best = Infinity;
  for (let turn = 0; turn < 4; turn++) {
    const started = performance.now();
    call();
    await activeGpu().device.queue.onSubmittedWorkDone();
    if (turn > 0) best = Math.min(best, performance.now() - started);
  }
  return best;
}
