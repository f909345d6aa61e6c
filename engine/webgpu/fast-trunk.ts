/**
 * The decoder on hand-written WebGPU kernels. Filling and reading the cache run as plans, where a row is any token of any
 * sequence: prompts are packed without padding, and a token's numbers do not depend on what else is in the batch. Whole
 * sequences, and their gradients, are the training pass's.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { ModelConfig } from '../formats/config.ts';
import { PREFIX_BYTES, PrefixStore } from '../model/prefix-store.ts';
import { promptOf } from '../model/row-layout.ts';
import type { Cache, Drawing, ForwardWeights, TokenBatch, Trunk, Wanted } from '../model/trunk.ts';
import { ID_MAX, type Draw, type RowSampling } from '../rollout/device-sample.ts';
import { PURPOSE, uniform } from '../rollout/rng.ts';
import { planArrivals, type Arrival } from './arrivals.ts';
import { FastCache, PASS_ROWS, preferredKeys, type Ground, type Plans } from './fast-cache.ts';
import type { Copy, Gpu, Step } from './gpu.ts';
import { keyFormatOf } from './key-format.ts';
import { tuningFor, type Tuning } from './kernel.ts';
import { matrixParts } from './matrix-parts.ts';
import { Packs } from './packed-weights.ts';
import { PAGE, pagesFor } from './page-pool.ts';
import { gpuShelf } from './prefix-shelf.ts';
import { cutFor, type Cut } from './sized-kernel.ts';
import type { RowDraw, StepRow } from './step.ts';
import { TrainingPass } from './training-pass.ts';
import { tuneDecoding } from './tune-decoding.ts';
import type { Workspace } from './workspace.ts';

/** Storage buffers of the drawing kernel beside the parts of the head; no other kernel needs more than these and three. */
const DRAW_BINDINGS = 5;

/** Whether the kernels can run this model on this device: widths in fours, bindings within its limits. */
export function fastTrunkFits({ device: { limits } }: Gpu, config: ModelConfig): boolean {
  const { hidden, intermediate, headDim, heads, kvHeads, vocab } = config;
  const most = limits.maxStorageBufferBindingSize;
  const largest = 4 * hidden * Math.max(intermediate, (heads + 2 * kvHeads) * headDim);
  return (
    [hidden, intermediate, headDim].every((width) => width % 4 === 0) &&
    largest <= most &&
    matrixParts(vocab, hidden, most).length + DRAW_BINDINGS <= limits.maxStorageBuffersPerShaderStage
  );
}

/** `tuning` and `cut` are the adapter's own unless given. `prefixBytes`: for what prompts begin with, from call to call. */
export function makeFastTrunk(
  gpu: Gpu,
  config: ModelConfig,
  tuning: Tuning = tuningFor(gpu),
  cut: Cut = cutFor(gpu),
  prefixBytes = PREFIX_BYTES,
): Trunk {
  const training = new TrainingPass(gpu, config, cut);
  const prefixes = new PrefixStore(gpuShelf(gpu, config), prefixBytes);
  const measured = gpu.autotuner?.applied(tuning) ?? tuning;
  const ground: Ground = { gpu, config, tuning: measured, packs: new Packs(gpu, config), prefixes };
  return {
    config,
    drawing: config.vocab > ID_MAX ? null : drawing(gpu, config),
    mixes: true,
    packs: ['f16', 'q8', 'q4'],
    halves: gpu.device.features.has('shader-f16'),
    logits: null,
    keyBytes: (using) => keyFormatOf(preferredKeys(using)).bytes,
    page: PAGE,
    openCache: (...size) => openCache(ground, ...size),
    room: (cache, sequences, using) => room(ground, asOurs(cache), sequences, using),
    prefill: (cache, prompts, using, slots, spans) => prefill(ground, asOurs(cache), prompts, using, slots, spans),
    decode: (cache, ids) => decode(gpu, config, asOurs(cache), ids),
    forward: (batch, using) =>
      tf.tidy(() => {
        const all = Int32Array.from({ length: batch.batch * batch.length }, (_, row) => row);
        return tf.reshape(training.states(batch, all, using), [batch.batch, batch.length, config.hidden]);
      }),
    forwardAt: (batch, rows, using) => training.states(batch, rows, using),
    tune: (using, slots) => tuneDecoding(ground, using, slots),
    dispose: () => {
      training.dispose();
      ground.packs.dispose();
      prefixes.clear();
    },
  };
}

/** Where memory is short, what prompts begin with makes room first. */
function openCache(ground: Ground, ...size: Parameters<Trunk['openCache']>): FastCache {
  try {
    return new FastCache(ground, ...size);
  } catch (error) {
    if (!isOutOfMemory(error) || ground.prefixes.bytes === 0) throw error;
    ground.prefixes.clear();
    ground.gpu.trim();
    return new FastCache(ground, ...size);
  }
}

function asOurs(cache: Cache): FastCache {
  if (!(cache instanceof FastCache)) throw new Error('a cache of another trunk');
  return cache;
}

/** How many of these, in this order, find pages now: those that sit and those before them give them what they begin with. */
function room({ prefixes }: Ground, cache: FastCache, sequences: readonly Wanted[], using: ForwardWeights): number {
  const prompts = sequences.map(({ promptIds }) => Int32Array.from(promptIds));
  const nowhere = prompts.map((_, i) => -1 - i);
  const arrivals = planArrivals(...seatingOf(prefixes, cache, prompts, nowhere, using));
  let { free } = cache;
  const full = sequences.findIndex(({ span }, i) => (free -= pagesFor(span) - arrivals[i].pages) < 0);
  return full < 0 ? sequences.length : full;
}

/** Who comes, what of their prompts earlier calls left, and who sits there. */
function seatingOf(
  prefixes: Ground['prefixes'],
  cache: FastCache,
  prompts: readonly Int32Array[],
  slots: ArrayLike<number>,
  using: ForwardWeights,
): Parameters<typeof planArrivals> {
  const asKept = { ...using, keys: cache.keys };
  return [
    prompts.map((prompt, i) => ({ slot: slots[i], prompt })),
    prompts.map((prompt) => prefixes.known(prompt, asKept)),
    cache.sitting(using.adapter),
  ];
}

function prefill(
  { gpu, config, prefixes }: Ground,
  cache: FastCache,
  batch: TokenBatch,
  using: ForwardWeights,
  given?: Int32Array,
  spans?: readonly number[],
): tf.Tensor2D {
  const asKept = { ...using, keys: cache.keys };
  const slots = given ?? Int32Array.from({ length: cache.slots }, (_, slot) => slot);
  if (batch.batch !== slots.length) throw new Error(`${batch.batch} prompts for ${slots.length} cache slots`);
  const prompts = [...slots].map((_, i) => promptOf(batch, i));
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (longest > cache.capacity) throw new Error(`prompts of ${longest} tokens in a cache of ${cache.capacity}`);
  cache.runWith(using);
  for (const slot of slots) cache.empty(slot);
  const hidden = gpu.allocate<tf.Tensor2D>([slots.length, config.hidden]);
  try {
    const arrivals = planArrivals(...seatingOf(prefixes, cache, prompts, slots, using));
    arrivals.forEach((arrival, i) => cache.sit(arrival, using.adapter, spans?.[i] ?? cache.capacity));
    for (const { slot, prompt, pages, copied, first } of arrivals)
      if (first > pages * PAGE + copied) prefixes.take(prompt, asKept, cache.placeOf(slot, pages));
    computeInWaves(gpu, cache, arrivals, hidden);
  } catch (error) {
    // Nobody is to begin with pages that were never filled.
    for (const slot of slots) cache.empty(slot);
    hidden.dispose();
    throw error;
  }
  prompts.forEach((prompt, i) => prefixes.keep(prompt, asKept, cache.placeOf(slots[i])));
  prompts.forEach((prompt, i) => (cache.lengths[slots[i]] = prompt.length));
  return hidden;
}

/** Leaves the last state of each. // [arrivals, hidden] */
function computeInWaves(gpu: Gpu, cache: FastCache, arrivals: readonly Arrival[], hidden: tf.Tensor): void {
  const computed = arrivals.reduce((sum, { prompt, first }) => sum + prompt.length - first, 0);
  // Once and large enough: states stay in it from wave to wave.
  const { states } = cache.workspace(Math.min(PASS_ROWS, Math.max(computed, 2 * arrivals.length)));
  const outs = new Map(arrivals.map(({ slot }, i) => [slot, i]));
  const last = arrivals.reduce((most, { wave }) => Math.max(most, wave), 0);
  for (let wave = 0; wave <= last; wave++) {
    const now = arrivals.filter((arrival) => arrival.wave === wave);
    copyBeginnings(gpu, cache, now);
    computeRests(gpu, cache, now, outs);
  }
  gpu.run([], 0, { after: [{ from: states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }] });
}

/** Of those who go on from the middle of another's page. */
function copyBeginnings(gpu: Gpu, cache: FastCache, arrivals: readonly Arrival[]): void {
  const pairs = arrivals.flatMap(({ slot, from, pages, copied }): StepRow[] => {
    if (from === null || copied === 0) return [];
    const [source, own] = [from, slot].map((one) => cache.pagesOf(one)[pages]);
    const none = { adapter: null, out: null };
    return [
      { ...none, slot: source, position: 0 },
      { ...none, slot: own, position: copied },
    ];
  });
  inPasses(pairs, (some, most) => {
    cache.write(cache.workspace(most), some);
    gpu.run(cache.plans(most).copy, some.length);
  });
}

/** The tokens that are neither shared nor copied, without padding. The last of each prompt leaves its state. */
function computeRests(
  gpu: Gpu,
  cache: FastCache,
  arrivals: readonly Arrival[],
  outs: ReadonlyMap<number, number>,
): void {
  const rows = arrivals.flatMap(({ slot, prompt, first }) =>
    Array.from(prompt.subarray(first), (id, i) => ({
      ...cache.rowOf(slot, first + i),
      out: first + i === prompt.length - 1 ? outs.get(slot)! : null,
      id,
    })),
  );
  inPasses(rows, (some, most) => {
    const workspace = cache.workspace(most);
    cache.write(workspace, some);
    gpu.write(
      workspace.ids,
      Int32Array.from(some, ({ id }) => id),
    );
    gpu.run(cache.promptPlans(most).states, some.length);
  });
}

function inPasses<T>(rows: readonly T[], pass: (some: readonly T[], most: number) => void): void {
  const most = Math.min(PASS_ROWS, rows.length);
  for (let first = 0; first < rows.length; first += most) pass(rows.slice(first, first + most), most);
}

function decode(gpu: Gpu, config: ModelConfig, cache: FastCache, ids: tf.Tensor1D): tf.Tensor2D {
  const { slots } = cache;
  const workspace = nextStep(cache, []);
  const hidden = gpu.allocate<tf.Tensor2D>([slots, config.hidden]);
  gpu.run(cache.stateSteps(), slots, {
    before: [{ from: gpu.bufferOf(ids), to: workspace.ids, bytes: slots * 4 }],
    after: [{ from: workspace.states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }],
  });
  return hidden;
}

/** Writes the step buffer for one more token of every slot, and counts it. */
function nextStep(cache: FastCache, draws: readonly RowDraw[]): Workspace {
  if (cache.lengths.some((length) => length >= cache.capacity))
    throw new Error(`KV cache full: ${cache.capacity} positions`);
  const workspace = cache.workspace(cache.slots);
  const rows = [...cache.lengths].map((position, slot) => ({ ...cache.rowOf(slot, position), out: slot }));
  cache.write(workspace, rows, draws);
  for (let slot = 0; slot < cache.slots; slot++) cache.lengths[slot]++;
  return workspace;
}

/** A GPU is kept busy while numbers travel to the host; a CPU that plays one does nothing for those that have ended. */
const AHEAD = { gpu: 4, software: 1 };

function drawing(gpu: Gpu, config: ModelConfig): Drawing {
  return {
    ahead: gpu.software ? AHEAD.software : AHEAD.gpu,
    first: (cache, hidden, slots, sampling) => {
      const ours = asOurs(cache);
      const workspace = ours.workspace(slots.length);
      const rows = [...slots].map((slot, i) => ({ ...ours.rowOf(slot, ours.lengths[slot]), out: i }));
      const draws = sampling.map((row) => drawOf(row, config));
      ours.write(workspace, rows, draws);
      const before = [{ from: gpu.bufferOf(hidden), to: workspace.states, bytes: hidden.size * 4 }];
      return runDraw(gpu, slots.length, workspace, drawSteps(ours.plans(slots.length), draws), before);
    },
    next: (cache, ids, sampling) => {
      const ours = asOurs(cache);
      const draws = sampling.map((row) => drawOf(row, config));
      const workspace = nextStep(ours, draws);
      const before = [{ from: gpu.bufferOf(ids), to: workspace.ids, bytes: ours.slots * 4 }];
      return runDraw(
        gpu,
        ours.slots,
        workspace,
        [...ours.stateSteps(), ...drawSteps(ours.plans(ours.slots), draws)],
        before,
      );
    },
  };
}

/** What was drawn goes to tensors of its own, since the next step may be under way before it is read. */
function runDraw(gpu: Gpu, slots: number, workspace: Workspace, steps: readonly Step[], before: readonly Copy[]): Draw {
  const ids = gpu.allocate<tf.Tensor1D>([slots], 'int32');
  const numbers = gpu.allocate<tf.Tensor2D>([slots, 3]);
  const after = [
    { from: workspace.ids, to: gpu.bufferOf(ids), bytes: slots * 4 },
    { from: workspace.numbers, to: gpu.bufferOf(numbers), bytes: slots * 12 },
  ];
  gpu.run(steps, slots, { before, after });
  return { ids, numbers };
}

const drawSteps = ({ draw, drawTruncated }: Plans, draws: readonly RowDraw[]): readonly Step[] =>
  draws.some(({ truncation }) => truncation) ? drawTruncated : draw;

function drawOf({ sampling, position }: RowSampling, { vocab }: ModelConfig): RowDraw {
  if (sampling.temperature === 0) return { sharpness: 0, draw: 0 };
  const { topP, minP } = sampling;
  const topK = sampling.topK < vocab ? sampling.topK : 0;
  const whole = topK === 0 && topP === 1 && minP === 0;
  return {
    ...{ sharpness: 1 / sampling.temperature, draw: uniform(sampling.seed, position, PURPOSE.sample) },
    ...(whole ? {} : { truncation: { topK, topP, minP } }),
  };
}
