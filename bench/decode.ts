/**
 * Decoding on WebGPU: the hand-written trunk and the plain tfjs trunk on the same adapter, weights and seeds, in one process
 * and by turns. What is timed is the product's own generation, drawing included, while it fills the last 64 positions of its
 * cache. The prompts before them are not computed but left as zeros, which are as long to read as any numbers.
 */
import * as tf from '@tensorflow/tfjs';
import type { Device } from '../engine/device/open.ts';
import { isOutOfMemory, OutOfMemory } from '../engine/device/out-of-memory.ts';
import { UserError } from '../engine/errors.ts';
import type { ModelConfig } from '../engine/formats/config.ts';
import { makeTrunk, tuneModels, useTrunk, type TrunkKind } from '../engine/model/choose-trunk.ts';
import type { ForwardWeights, TokenBatch, Trunk } from '../engine/model/trunk.ts';
import type { WeightPrecision } from '../engine/protocol.ts';
import { generate } from '../engine/rollout/generate.ts';
import { cacheMemory } from '../engine/webgpu/fast-cache.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { packedBytes } from '../engine/webgpu/packed-weights.ts';
import { parametersOf, randomWeights, shapeNamed } from './models.ts';
import { profiled, sayProfile } from './profile.ts';
import { decodeRoof, roofOf, type Roof } from './roof.ts';
import { torchBeside, type TorchLoad, type TorchRates } from './torch.ts';
import { keepResults, precisionOf, PRECISIONS, rounded, SLOW_SECONDS, type Bench, type Figures } from './suite.ts';

export type DecodeOptions = {
  readonly models: readonly string[];
  /** What the hand-written trunk samples with. */
  readonly weights: readonly string[];
  readonly batches: readonly number[];
  /** Positions of the cache. */
  readonly contexts: readonly number[];
  /** Whether to say where the time of a few steps goes. */
  readonly profile: boolean;
};

/** Tokens that a sequence may decode; none but the last are timed where that takes longer than `TIMED_MS`. */
const DECODED = 64;
/** Steps before the clock starts, which compile; and timed ones at least. */
const WARM = 2;
const TIMED_LEAST = 3;
const TIMED_MS = 2000;
const TURNS = 5;

type Subject = { readonly name: string; readonly trunk: TrunkKind; readonly weights: WeightPrecision };
type Load = { readonly batch: number; readonly context: number };
type Rate = Subject &
  Load & {
    readonly model: string;
    /** Null where it did not fit the device. */
    readonly tokensPerSecond: number | null;
    /** Processor time of the whole process a token, which an emulated adapter spends here and a passing load does not. */
    readonly cpuMs: number | null;
    /** Steps the rate is taken from, of the middle turn. */
    readonly steps: number;
    /** Share of what the device's copying and multiplying allow. */
    readonly ofRoof: number | null;
    /** Why it did not fit. */
    readonly refused?: string;
  };
type Timed = { readonly seconds: number; readonly cpuSeconds: number; readonly steps: number };

export async function benchDecode(bench: Bench, options: DecodeOptions): Promise<Figures> {
  const subjects = subjectsOf(options.weights);
  const shapes = options.models.map((name) => ({ name, config: shapeNamed(name) }));
  for (const { config } of shapes) checkContexts(options.contexts, config);
  const roof = await roofOf(bench);
  // As an engine does.
  let tuned: Readonly<Record<string, string>> = {};
  tuneModels({}, (chosen) => (tuned = chosen));
  const rates: Rate[] = [];
  const torch: (TorchRates | null)[] = [];
  let dispatches = 0;
  for (const { name, config } of shapes) {
    const measured = await measureModel(bench, name, config, subjects, options, roof);
    rates.push(...measured.rates);
    dispatches = measured.dispatches;
    bench.say(`${dispatches} dispatches a token of ${name}: ${rounded(dispatches / config.layers)} a layer`);
    torch.push(await torchBeside(bench, torchLoad(config, options)));
  }
  await keepResults(bench, 'decode', {
    ...{ roof, decoded: DECODED, rates, torch, dispatchesPerToken: dispatches, tuned },
    memory: shapes.map(({ name, config }) => ({ model: name, ...memoryOf(config, options) })),
  });
  const [b1, b32] = [ratio(rates, 1), ratio(rates, 32)];
  return {
    ...(b1 === null ? {} : { decode_b1_vs_tfjs: b1 }),
    ...(b32 === null ? {} : { decode_b32_vs_tfjs: b32 }),
    dispatches_per_token: dispatches,
  };
}

/** The first context alone. In half precision where ours is too. */
function torchLoad(config: ModelConfig, { weights, batches, contexts }: DecodeOptions): Omit<TorchLoad, 'device'> {
  return {
    ...{ dtype: weights.includes('f16') ? 'float16' : 'float32', model: config, batches },
    ...{ prompt: contexts[0] - DECODED, tokens: DECODED, examples: 1, response: 1, rank: 0, methods: [] },
  };
}

/** The hand-written trunk with each kind of weights, float32 first, and the plain one. */
function subjectsOf(weights: readonly string[]): Subject[] {
  const asked = weights.map(precisionOf);
  const chosen = PRECISIONS.filter((kind) => kind === 'f32' || asked.includes(kind));
  return [
    ...chosen.map((kind): Subject => ({ name: `fast ${kind}`, trunk: 'fast', weights: kind })),
    { name: 'tfjs', trunk: 'tfjs', weights: 'f32' },
  ];
}

function checkContexts(contexts: readonly number[], { contextLength }: ModelConfig): void {
  for (const context of contexts)
    if (!(context > DECODED && context <= contextLength && context % 64 === 0))
      throw new UserError(`a context of ${context} positions; choose multiples of 64 from 128 to ${contextLength}`);
}

async function measureModel(
  bench: Bench,
  model: string,
  config: ModelConfig,
  subjects: readonly Subject[],
  { batches, contexts, profile }: DecodeOptions,
  roof: Roof,
): Promise<{ readonly rates: Rate[]; readonly dispatches: number }> {
  const weights = randomWeights(config);
  const trunks = { fast: trunkOf('fast', config), tfjs: trunkOf('tfjs', config) };
  const rates: Rate[] = [];
  for (const context of contexts)
    for (const batch of batches) {
      const load = { batch, context };
      const timed = await middleOf(subjects, ({ trunk, weights: rollout }) =>
        withinMemory(bench.device, () =>
          timeDecoding(trunks[trunk], { weights, adapter: null, rollout }, bench.device, load),
        ),
      );
      for (const [i, subject] of subjects.entries()) {
        const rate = rateOf(subject, model, config, load, timed[i], roof);
        rates.push(rate);
        bench.say(lineOf(rate));
      }
      if (profile) await profileDecoding(bench, trunks.fast, { weights, adapter: null }, load);
    }
  const dispatches = await countDispatches(trunks.fast, { weights, adapter: null }, bench.device);
  for (const trunk of Object.values(trunks)) trunk.dispose();
  tf.dispose(weights);
  return { rates, dispatches };
}

/** What runs out of memory is told as such, once the device has said all that it has to say of it. */
async function withinMemory<T>(device: Device, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isOutOfMemory(error)) throw error;
    await device.gpu!.queue.onSubmittedWorkDone();
    await device.yieldToEvents().catch(() => {});
    throw tooLarge(error);
  }
}

/**
 * By turns, so that a passing load falls on all: of each the turn whose steps are in the middle, since the best is whoever had the
 * machine's one quiet moment. Or why it ran out of memory.
 */
async function middleOf(
  subjects: readonly Subject[],
  time: (subject: Subject) => Promise<Timed>,
): Promise<(Timed | string)[]> {
  const turns = subjects.map((): Timed[] => []);
  const refused = subjects.map((): string | null => null);
  for (let turn = 0; turn < TURNS; turn++)
    for (const [i, subject] of subjects.entries()) {
      if (refused[i] !== null || turns[i].some(({ seconds }) => seconds > SLOW_SECONDS)) continue;
      try {
        turns[i].push(await time(subject));
      } catch (error) {
        if (!(error instanceof TooLarge)) throw error;
        refused[i] = error.message;
      }
    }
  return turns.map((all, i) => refused[i] ?? middle(all));
}

const perStep = ({ seconds, steps }: Timed): number => seconds / steps;
const middle = (all: readonly Timed[]): Timed =>
  [...all].sort((a, b) => perStep(a) - perStep(b))[Math.floor(all.length / 2)];

function rateOf(
  subject: Subject,
  model: string,
  config: ModelConfig,
  load: Load,
  timed: Timed | string,
  roof: Roof,
): Rate {
  if (typeof timed === 'string')
    return { ...subject, ...load, model, tokensPerSecond: null, cpuMs: null, steps: 0, ofRoof: null, refused: timed };
  const tokensPerSecond = (load.batch * timed.steps) / timed.seconds;
  const bound = load.batch / decodeRoof(config, subject.weights, load, roof);
  return {
    ...{ ...subject, ...load, model, tokensPerSecond: rounded(tokensPerSecond), steps: timed.steps },
    cpuMs: rounded((1000 * timed.cpuSeconds) / load.batch / timed.steps),
    ofRoof: rounded(tokensPerSecond / bound),
  };
}

function lineOf({ name, model, batch, context, tokensPerSecond, cpuMs, steps, ofRoof, refused }: Rate): string {
  const who = `${model}  batch ${String(batch).padStart(3)}, context ${String(context).padStart(4)}  ${name.padEnd(8)}`;
  if (tokensPerSecond === null) return `${who}  does not fit: ${refused}`;
  return `${who}  ${String(tokensPerSecond).padStart(6)} tokens/s (${cpuMs} ms of processor time each; ${steps} steps timed; ${(100 * ofRoof!).toPrecision(2)} % of the roof)`;
}

function memoryOf(config: ModelConfig, { batches, contexts }: DecodeOptions): Record<string, unknown> {
  const maxBinding = activeGpu().device.limits.maxStorageBufferBindingSize;
  return {
    weights: 4 * parametersOf(config),
    packed: Object.fromEntries(PRECISIONS.map((kind) => [kind, packedBytes(config, kind, maxBinding)])),
    caches: contexts.flatMap((context) =>
      batches.map((batch) => ({ batch, context, ...cacheMemory(config, batch, context) })),
    ),
  };
}

function trunkOf(kind: TrunkKind, config: ModelConfig): Trunk {
  const before = useTrunk(kind);
  const trunk = makeTrunk(config);
  useTrunk(before);
  return trunk;
}

/** Generation would go on with fewer sequences at a time; here that is no measurement of so many. */
class TooLarge extends Error {}

/** In words by which no one takes it for what fewer sequences would mend. */
const tooLarge = (error: unknown): TooLarge => new TooLarge((error as Error).message.replace(/^out of memory: /i, ''));

/** tfjs itself would only be told by the device, in many lines, that a tensor of its cache is larger than a binding may be. */
function refuseBindings({ config, drawing }: Trunk, positions: number): void {
  const bytes = 4 * positions * config.kvHeads * config.headDim;
  const most = activeGpu().device.limits.maxStorageBufferBindingSize;
  if (drawing === null && bytes > most)
    throw new OutOfMemory(bytes, `a binding of ${(most / 2 ** 20).toFixed(0)} MiB, as one layer of the cache takes,`);
}

/** The same trunk, whose prompts are taken for computed once their last token is, and whose caches have all slots or none. */
function begun(trunk: Trunk, batch: number): Trunk {
  return {
    ...trunk,
    openCache: (slots, capacity, ...rest) => {
      if (slots < batch) throw new TooLarge(`${slots} of ${batch} sequences of ${capacity} positions`);
      try {
        refuseBindings(trunk, slots * capacity);
        return trunk.openCache(slots, capacity, ...rest);
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
        throw tooLarge(error);
      }
    },
    prefill: (cache, prompts, using, slots, spans) => {
      const last = prompts.lengths.map((length, i) => prompts.ids[i * prompts.length + length - 1]);
      const one: TokenBatch = { ids: last, batch: prompts.batch, length: 1, lengths: last.map(() => 1) };
      const hidden = trunk.prefill(cache, one, using, slots, spans);
      const shared = prompts.prefix?.length ?? 0;
      for (let i = 0; i < prompts.batch; i++) cache.lengths[slots?.[i] ?? i] = shared + prompts.lengths[i];
      return hidden;
    },
  };
}

/** Of the first sequence's tokens after those that warm up. All sequences are of one length. */
async function timeDecoding(
  trunk: Trunk,
  using: ForwardWeights,
  device: Device,
  { batch, context }: Load,
): Promise<Timed> {
  const times: number[] = [];
  const cpu: number[] = [];
  const enough = (): boolean => times.length > WARM + TIMED_LEAST && times.at(-1)! - times[WARM] > TIMED_MS;
  await decode(trunk, using, device, batch, context, DECODED, {
    onToken: (record) => {
      if (record !== 'r0') return;
      const { user, system } = process.cpuUsage();
      times.push(performance.now());
      cpu.push((user + system) / 1e6);
    },
    cancelled: enough,
  });
  const last = times.length - 1;
  return { seconds: (times[last] - times[WARM]) / 1000, cpuSeconds: cpu[last] - cpu[WARM], steps: last - WARM };
}

async function decode(
  trunk: Trunk,
  using: ForwardWeights,
  device: Device,
  batch: number,
  context: number,
  maxTokens: number,
  hooks: { onToken(record: string): void; cancelled(): boolean },
): Promise<void> {
  const { vocab } = trunk.config;
  const orders = Array.from({ length: batch }, (_, i) => ({
    record: `r${i}`,
    promptIds: Array.from({ length: context - DECODED }, (__, t) => (i * 131 + t * 17) % vocab),
    sampling: { temperature: 0.8, topK: 0, topP: 1, minP: 0, maxTokens, stop: [], seed: i },
  }));
  const budget = { cacheBytes: Infinity, prefillBytes: Infinity, slots: batch };
  await generate({ trunk: begun(trunk, batch), using, tokenizer: null }, orders, {
    ...{ ...hooks, budget },
    yieldToEvents: () => device.yieldToEvents(),
  });
}

/** Of eight steps of a batch, which were timed before. */
async function profileDecoding(bench: Bench, trunk: Trunk, using: ForwardWeights, load: Load): Promise<void> {
  const eight = async (): Promise<number> => {
    const started = performance.now();
    await decode(trunk, using, bench.device, load.batch, load.context, 9, {
      onToken: () => {},
      cancelled: () => false,
    });
    return performance.now() - started;
  };
  const ms = await eight();
  sayProfile(bench, await profiled(activeGpu(), async () => void (await eight())), ms);
}

/** What eight more tokens cost in dispatches. */
async function countDispatches(trunk: Trunk, using: ForwardWeights, device: Device): Promise<number> {
  const counted = async (tokens: number): Promise<number> => {
    const before = activeGpu().dispatches;
    await decode(trunk, using, device, 1, 2 * DECODED, tokens, { onToken: () => {}, cancelled: () => false });
    return activeGpu().dispatches - before;
  };
  return ((await counted(12)) - (await counted(4))) / 8;
}

/** Of the first model and context measured. */
function ratio(rates: readonly Rate[], batch: number): number | null {
  const of = (trunk: TrunkKind): number | null =>
    rates.find((rate) => rate.trunk === trunk && rate.weights === 'f32' && rate.batch === batch)?.tokensPerSecond ??
    null;
  const [fast, tfjs] = [of('fast'), of('tfjs')];
  return fast === null || tfjs === null ? null : rounded(fast / tfjs);
}
