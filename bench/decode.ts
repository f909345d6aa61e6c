/**
 * Decoding on WebGPU: the hand-written trunk and the plain tfjs trunk on the same adapter, weights, prompts and seeds, in
 * one process and by turns. The model has the shape of MiniMind2-Small (25.8M parameters) and random weights; what is timed
 * is the product's own generation, drawing included, after each sequence's first token.
 */
import * as tf from '@tensorflow/tfjs';
import { openDevice, type Device } from '../engine/device/open.ts';
import '../engine/device/register.node.ts';
import { UserError } from '../engine/errors.ts';
import { parameterShapes, type ModelConfig } from '../engine/formats/config.ts';
import { makeTrunk, useTrunk, type TrunkKind } from '../engine/model/choose-trunk.ts';
import type { ForwardWeights, Trunk, Weights } from '../engine/model/trunk.ts';
import type { WeightPrecision } from '../engine/protocol.ts';
import { generate } from '../engine/rollout/generate.ts';
import { cacheMemory } from '../engine/webgpu/fast-cache.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { packedBytes } from '../engine/webgpu/packed-weights.ts';
import { describeMachine, saveResults } from './results.ts';

export type DecodeOptions = {
  readonly device: string;
  /** What the hand-written trunk samples with. */
  readonly weights: readonly string[];
  readonly json: boolean;
  readonly out?: string | undefined;
};

/** MiniMind2-Small, without ends: every sequence runs to its length. */
const CONFIG: ModelConfig = {
  ...{ architecture: 'llama', hidden: 512, intermediate: 1408, layers: 8, heads: 8, kvHeads: 2, headDim: 64 },
  ...{ vocab: 6400, contextLength: 32768, ropeTheta: 1e6, ropeScaling: null, rmsEps: 1e-5, tied: true },
  ...{ attentionBias: false, qkNorm: false, eosIds: [], bosId: null, padId: null },
};
const PROMPT = 16;
const BATCHES = [
  { batch: 1, tokens: 25 },
  { batch: 32, tokens: 5 },
] as const;
const TURNS = 2;

/** Positions of the cache that generation opens: prompt and response, in steps of 64. */
const CAPACITY = 64;

type Subject = { readonly name: string; readonly trunk: TrunkKind; readonly weights: WeightPrecision };
type Rate = Subject & { readonly batch: number; readonly tokensPerSecond: number };

const PRECISIONS: readonly WeightPrecision[] = ['f32', 'f16', 'q8', 'q4'];

/** The hand-written trunk with each kind of weights, float32 first, and the plain one. */
function subjectsOf(weights: readonly string[]): Subject[] {
  const wrong = weights.find((kind) => !PRECISIONS.some((known) => known === kind));
  if (wrong !== undefined) throw new UserError(`There are no ${wrong} weights; choose of ${PRECISIONS.join(', ')}`);
  const chosen = PRECISIONS.filter((kind) => kind === 'f32' || weights.includes(kind));
  return [
    ...chosen.map((kind): Subject => ({ name: `fast ${kind}`, trunk: 'fast', weights: kind })),
    { name: 'tfjs', trunk: 'tfjs', weights: 'f32' },
  ];
}

export async function benchDecode(options: DecodeOptions): Promise<void> {
  if (options.device !== 'webgpu')
    throw new UserError(`the suite decode measures webgpu, not ${options.device}; for CPU devices run the suite cpu`);
  const machine = describeMachine();
  const device = await openDevice('webgpu');
  const say = (line: string): void => (options.json ? console.error(line) : console.log(line));
  say(`${device.info.name} (load ${machine.loadBefore} on ${machine.cores} cores)`);
  const weights = randomWeights();
  const trunks = { fast: trunkOf('fast'), tfjs: trunkOf('tfjs') };
  const rates: Rate[] = [];
  const subjects = subjectsOf(options.weights);
  for (const { batch, tokens } of BATCHES) {
    const seconds = (subject: Subject, count: number): Promise<number> =>
      decodeSeconds(trunks[subject.trunk], usingOf(subject, weights), device, batch, count);
    for (const subject of subjects) await seconds(subject, 2);
    // By turns, so that a passing load falls on all; the best of each.
    const best = subjects.map(() => Infinity);
    for (let turn = 0; turn < TURNS; turn++)
      for (const [i, subject] of subjects.entries()) best[i] = Math.min(best[i], await seconds(subject, tokens));
    for (const [i, subject] of subjects.entries()) {
      const tokensPerSecond = (batch * (tokens - 1)) / best[i];
      rates.push({ ...subject, batch, tokensPerSecond });
      say(`batch ${String(batch).padStart(2)}  ${subject.name.padEnd(8)}  ${tokensPerSecond.toPrecision(3)} tokens/s`);
    }
  }
  const dispatchesPerToken = await countDispatches(trunks.fast, weights, device);
  say(`${dispatchesPerToken} dispatches a token`);
  const { name, features } = device.info;
  const measured = {
    adapter: { name, features },
    ...{ model: CONFIG, prompt: PROMPT, rates, dispatchesPerToken },
    bytes: BATCHES.map(({ batch }) => ({ batch, weights: 4 * parameters(), ...cacheMemory(CONFIG, batch, CAPACITY) })),
    packed: Object.fromEntries(
      PRECISIONS.map((kind) => [
        kind,
        packedBytes(CONFIG, kind, activeGpu().device.limits.maxStorageBufferBindingSize),
      ]),
    ),
  };
  const file = await saveResults('decode', machine, name, measured, options.out);
  say(`written to ${file}`);
  const done = {
    event: 'done',
    decode_b1_vs_tfjs: ratio(rates, 1),
    decode_b32_vs_tfjs: ratio(rates, 32),
    dispatches_per_token: dispatchesPerToken,
  };
  say(`against tfjs: ${done.decode_b1_vs_tfjs} times at batch 1, ${done.decode_b32_vs_tfjs} times at batch 32`);
  if (options.json) console.log(JSON.stringify(done));
  // Dawn keeps a thread that would hold the process.
  process.exit(0);
}

function parameters(): number {
  return [...parameterShapes(CONFIG).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

function trunkOf(kind: TrunkKind): Trunk {
  const before = useTrunk(kind);
  const trunk = makeTrunk(CONFIG);
  useTrunk(before);
  return trunk;
}

function randomWeights(): Weights {
  return Object.fromEntries(
    [...parameterShapes(CONFIG)].map(([name, shape], i) => [
      name,
      name.includes('norm') ? tf.ones([...shape]) : tf.randomUniform([...shape], -0.05, 0.05, 'float32', i),
    ]),
  );
}

const usingOf = ({ weights: rollout }: Subject, weights: Weights): ForwardWeights => ({
  weights,
  adapter: null,
  rollout,
});

async function run(
  trunk: Trunk,
  using: ForwardWeights,
  device: Device,
  batch: number,
  maxTokens: number,
  onToken: (record: string) => void,
): Promise<void> {
  const orders = Array.from({ length: batch }, (_, i) => ({
    record: `r${i}`,
    promptIds: Array.from({ length: PROMPT }, (__, t) => (i * 131 + t * 17) % CONFIG.vocab),
    sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, maxTokens, stop: [], seed: i },
  }));
  await generate({ trunk, using, tokenizer: null }, orders, {
    onToken,
    yieldToEvents: () => device.yieldToEvents(),
  });
}

/** From the first token of the first sequence to its last; all are of one length. */
async function decodeSeconds(
  trunk: Trunk,
  using: ForwardWeights,
  device: Device,
  batch: number,
  tokens: number,
): Promise<number> {
  const times: number[] = [];
  await run(trunk, using, device, batch, tokens, (record) => {
    if (record === 'r0') times.push(performance.now());
  });
  return (times.at(-1)! - times[0]) / 1000;
}

/** What eight more tokens cost in dispatches. */
async function countDispatches(trunk: Trunk, weights: Weights, device: Device): Promise<number> {
  const counted = async (tokens: number): Promise<number> => {
    const before = activeGpu().dispatches;
    await run(trunk, { weights, adapter: null }, device, 1, tokens, () => {});
    return activeGpu().dispatches - before;
  };
  return ((await counted(12)) - (await counted(4))) / 8;
}

function ratio(rates: readonly Rate[], batch: number): number {
  const of = (trunk: TrunkKind): number =>
    rates.find((rate) => rate.trunk === trunk && rate.weights === 'f32' && rate.batch === batch)!.tokensPerSecond;
  return Number((of('fast') / of('tfjs')).toFixed(2));
}
