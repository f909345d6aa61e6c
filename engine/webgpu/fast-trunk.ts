/**
 * The decoder on hand-written WebGPU kernels. Filling and reading the cache run as plans, where a row is any token of any
 * sequence: prompts are packed without padding, and a token's numbers do not depend on what else is in the batch. Whole
 * sequences, and their gradients, are the training pass's.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { ModelConfig } from '../formats/config.ts';
import { PREFIX_BYTES, PrefixStore } from '../model/prefix-store.ts';
import { promptWaves, type PromptNode } from '../model/prompt-tree.ts';
import { promptOf } from '../model/row-layout.ts';
import type { Cache, Drawing, ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import { ID_MAX, type Draw, type RowSampling } from '../rollout/device-sample.ts';
import { PURPOSE, uniform } from '../rollout/rng.ts';
import { FastCache, PASS_ROWS, preferredKeys, type Ground, type Plans } from './fast-cache.ts';
import type { Copy, Gpu, Step } from './gpu.ts';
import { keyFormatOf } from './key-format.ts';
import { tuningFor, type Tuning } from './kernel.ts';
import { matrixParts } from './matrix-parts.ts';
import { Packs } from './packed-weights.ts';
import { gpuShelf } from './prefix-shelf.ts';
import { cutFor, type Cut } from './sized-kernel.ts';
import { writeStep, type RowDraw, type StepRow } from './step.ts';
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
    openCache: (slots, capacity, voices) => openCache(ground, slots, capacity, voices),
    prefill: (cache, prompts, using, slots) => prefill(ground, asOurs(cache), prompts, using, slots),
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
function openCache(ground: Ground, ...[slots, capacity, voices]: Parameters<Trunk['openCache']>): FastCache {
  try {
    return new FastCache(ground, slots, capacity, voices);
  } catch (error) {
    if (!isOutOfMemory(error) || ground.prefixes.bytes === 0) throw error;
    ground.prefixes.clear();
    ground.gpu.trim();
    return new FastCache(ground, slots, capacity, voices);
  }
}

function asOurs(cache: Cache): FastCache {
  if (!(cache instanceof FastCache)) throw new Error('a cache of another trunk');
  return cache;
}

function prefill(
  { gpu, config, prefixes }: Ground,
  cache: FastCache,
  prompts: TokenBatch,
  using: ForwardWeights,
  given?: Int32Array,
): tf.Tensor2D {
  const asKept = { ...using, keys: cache.keys };
  const slots = given ?? Int32Array.from({ length: cache.slots }, (_, slot) => slot);
  if (prompts.batch !== slots.length) throw new Error(`${prompts.batch} prompts for ${slots.length} cache slots`);
  const shared = prompts.prefix?.length ?? 0;
  if (prompts.lengths.some((length) => shared + length > cache.capacity))
    throw new Error(`prompts of ${shared + prompts.length} tokens in a cache of ${cache.capacity}`);
  cache.runWith(slots, using);
  const whole = [...slots].map((_, i) => promptOf(prompts, i));
  const hidden = gpu.allocate<tf.Tensor2D>([slots.length, config.hidden]);
  // Once and large enough: states stay in it from wave to wave.
  const { states } = cache.workspace(Math.min(PASS_ROWS, whole.reduce((sum, { length }) => sum + length, 0))); // prettier-ignore
  const known = whole.map((prompt) => prefixes.known(prompt, asKept));
  for (const wave of promptWaves(whole, known)) {
    for (const { index, from, shared } of wave)
      if (from === null && shared > 0) prefixes.take(whole[index], asKept, cache.placeOf(slots[index]));
    copyBeginnings(gpu, cache, wave, slots);
    computeRests(gpu, cache, wave, whole, slots);
  }
  whole.forEach((prompt, i) => prefixes.keep(prompt, asKept, cache.placeOf(slots[i])));
  gpu.run([], 0, { after: [{ from: states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }] });
  whole.forEach((prompt, i) => (cache.lengths[slots[i]] = prompt.length));
  return hidden;
}

function copyBeginnings(gpu: Gpu, cache: FastCache, wave: readonly PromptNode[], slots: Int32Array): void {
  const pairs = wave.flatMap(({ index, from, shared }): StepRow[] =>
    from === null
      ? []
      : [
          { ...cache.seat(slots[from]), position: 0, out: null },
          { ...cache.seat(slots[index]), position: shared, out: null },
        ],
  );
  inPasses(pairs, (some, most) => {
    gpu.write(cache.workspace(most).step, writeStep(some));
    gpu.run(cache.plans(most).copy, some.length);
  });
}

/** The tokens that are not copied, without padding. The last of each prompt leaves its state. */
function computeRests(
  gpu: Gpu,
  cache: FastCache,
  wave: readonly PromptNode[],
  prompts: readonly Int32Array[],
  slots: Int32Array,
): void {
  const rows = wave.flatMap(({ index, shared }) =>
    Array.from(prompts[index].subarray(shared), (id, i) => ({
      ...cache.seat(slots[index]),
      position: shared + i,
      out: shared + i === prompts[index].length - 1 ? index : null,
      id,
    })),
  );
  inPasses(rows, (some, most) => {
    const workspace = cache.workspace(most);
    gpu.write(workspace.step, writeStep(some));
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
  const workspace = nextStep(gpu, cache, []);
  const hidden = gpu.allocate<tf.Tensor2D>([slots, config.hidden]);
  gpu.run(cache.stateSteps(), slots, {
    before: [{ from: gpu.bufferOf(ids), to: workspace.ids, bytes: slots * 4 }],
    after: [{ from: workspace.states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }],
  });
  return hidden;
}

/** Writes the step buffer for one more token of every slot, and counts it. */
function nextStep(gpu: Gpu, cache: FastCache, draws: readonly RowDraw[]): Workspace {
  if (cache.lengths.some((length) => length >= cache.capacity))
    throw new Error(`KV cache full: ${cache.capacity} positions`);
  const workspace = cache.workspace(cache.slots);
  const rows = [...cache.lengths].map((position, slot) => ({ ...cache.seat(slot), position, out: slot }));
  gpu.write(workspace.step, writeStep(rows, draws));
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
      const rows = [...slots].map((slot, i) => ({ ...ours.seat(slot), position: ours.lengths[slot], out: i }));
      const draws = sampling.map((row) => drawOf(row, config));
      gpu.write(workspace.step, writeStep(rows, draws));
      const before = [{ from: gpu.bufferOf(hidden), to: workspace.states, bytes: hidden.size * 4 }];
      return runDraw(gpu, slots.length, workspace, drawSteps(ours.plans(slots.length), draws), before);
    },
    next: (cache, ids, sampling) => {
      const ours = asOurs(cache);
      const draws = sampling.map((row) => drawOf(row, config));
      const workspace = nextStep(gpu, ours, draws);
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
