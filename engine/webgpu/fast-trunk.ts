/**
 * The decoder on hand-written WebGPU kernels. Filling and reading the cache run as plans, where a row is any token of any
 * sequence: prompts are packed without padding, and a token's numbers do not depend on what else is in the batch. Whole
 * sequences, and their gradients, are the training pass's.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import type { Cache, Drawing, ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import { ID_MAX, type Draw, type RowSampling } from '../rollout/device-sample.ts';
import { PURPOSE, uniform } from '../rollout/rng.ts';
import { FastCache, PASS_ROWS } from './fast-cache.ts';
import type { Copy, Gpu, Step } from './gpu.ts';
import { tuningFor, type Tuning } from './kernel.ts';
import { matrixParts } from './matrix-parts.ts';
import { cutFor, type Cut } from './sized-kernel.ts';
import { writeStep, type RowDraw, type StepRow } from './step.ts';
import { TrainingPass } from './training-pass.ts';
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

/** `tuning` and `cut` are the adapter's own unless given. */
export function makeFastTrunk(
  gpu: Gpu,
  config: ModelConfig,
  tuning: Tuning = tuningFor(gpu.software),
  cut: Cut = cutFor(gpu),
): Trunk {
  const training = new TrainingPass(gpu, config, cut);
  return {
    config,
    drawing: config.vocab > ID_MAX ? null : drawing(gpu),
    openCache: (slots, capacity) => new FastCache(gpu, config, tuning, slots, capacity),
    prefill: (cache, prompts, using) => prefill(gpu, config, asOurs(cache), prompts, using),
    decode: (cache, ids, using) => decode(gpu, config, asOurs(cache), ids, using),
    forward: (batch, using) =>
      tf.tidy(() => {
        const all = Int32Array.from({ length: batch.batch * batch.length }, (_, row) => row);
        return tf.reshape(training.states(batch, all, using), [batch.batch, batch.length, config.hidden]);
      }),
    forwardAt: (batch, rows, using) => training.states(batch, rows, using),
    dispose: () => training.dispose(),
  };
}

function asOurs(cache: Cache): FastCache {
  if (!(cache instanceof FastCache)) throw new Error('a cache of another trunk');
  return cache;
}

function prefill(
  gpu: Gpu,
  config: ModelConfig,
  cache: FastCache,
  prompts: TokenBatch,
  using: ForwardWeights,
): tf.Tensor2D {
  if (prompts.batch !== cache.slots) throw new Error(`${prompts.batch} prompts for ${cache.slots} cache slots`);
  const shared = prompts.prefix?.length ?? 0;
  if (prompts.lengths.some((length) => shared + length > cache.capacity))
    throw new Error(`prompts of ${shared + prompts.length} tokens in a cache of ${cache.capacity}`);
  const rows = promptRows(cache, prompts);
  const most = Math.min(PASS_ROWS, rows.length);
  const workspace = cache.workspace(using, most);
  const hidden = gpu.allocate<tf.Tensor2D>([cache.slots, config.hidden]);
  for (let first = 0; first < rows.length; first += most) {
    const some = rows.slice(first, first + most);
    gpu.write(workspace.step, writeStep(some));
    gpu.write(
      workspace.ids,
      Int32Array.from(some, ({ id }) => id),
    );
    const last = first + most >= rows.length;
    const after = last ? [{ from: workspace.states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }] : [];
    gpu.run(cache.plans(using, most).states, some.length, { after });
  }
  cache.lengths.set(prompts.lengths.map((length) => shared + length));
  return hidden;
}

/** Every token of every prompt, without the padding; a prefix once for each slot. The last of each leaves its state. */
function promptRows(cache: FastCache, prompts: TokenBatch): (StepRow & { readonly id: number })[] {
  const prefix = prompts.prefix ?? new Int32Array(0);
  return [...prompts.lengths].flatMap((length, slot) =>
    [...prefix, ...prompts.ids.subarray(slot * prompts.length, slot * prompts.length + length)].map((id, position) => ({
      slot: cache.places[slot],
      position,
      out: position === prefix.length + length - 1 ? slot : null,
      id,
    })),
  );
}

function decode(gpu: Gpu, config: ModelConfig, cache: FastCache, ids: tf.Tensor1D, using: ForwardWeights): tf.Tensor2D {
  const { slots } = cache;
  const workspace = nextStep(gpu, cache, using, []);
  const hidden = gpu.allocate<tf.Tensor2D>([slots, config.hidden]);
  gpu.run(cache.plans(using, slots).states, slots, {
    before: [{ from: gpu.bufferOf(ids), to: workspace.ids, bytes: slots * 4 }],
    after: [{ from: workspace.states, to: gpu.bufferOf(hidden), bytes: hidden.size * 4 }],
  });
  return hidden;
}

/** Writes the step buffer for one more token of every slot, and counts it. */
function nextStep(gpu: Gpu, cache: FastCache, using: ForwardWeights, draws: readonly RowDraw[]): Workspace {
  if (cache.lengths.some((length) => length >= cache.capacity))
    throw new Error(`KV cache full: ${cache.capacity} positions`);
  const workspace = cache.workspace(using, cache.slots);
  const rows = [...cache.lengths].map((position, slot) => ({ slot: cache.places[slot], position, out: slot }));
  gpu.write(workspace.step, writeStep(rows, draws));
  for (let slot = 0; slot < cache.slots; slot++) cache.lengths[slot]++;
  return workspace;
}

function drawing(gpu: Gpu): Drawing {
  return {
    first: (cache, hidden, using, sampling) => {
      const ours = asOurs(cache);
      const workspace = ours.workspace(using, ours.slots);
      const rows = [...ours.lengths].map((position, slot) => ({ slot, position, out: slot }));
      gpu.write(workspace.step, writeStep(rows, sampling.map(drawOf)));
      const before = [{ from: gpu.bufferOf(hidden), to: workspace.states, bytes: hidden.size * 4 }];
      return runDraw(gpu, ours, workspace, ours.plans(using, ours.slots).draw, before);
    },
    next: (cache, ids, using, sampling) => {
      const ours = asOurs(cache);
      const workspace = nextStep(gpu, ours, using, sampling.map(drawOf));
      const { states, draw } = ours.plans(using, ours.slots);
      const before = [{ from: gpu.bufferOf(ids), to: workspace.ids, bytes: ours.slots * 4 }];
      return runDraw(gpu, ours, workspace, [...states, ...draw], before);
    },
  };
}

/** What was drawn goes to tensors of its own, since the next step may be under way before it is read. */
function runDraw(
  gpu: Gpu,
  { slots }: FastCache,
  workspace: Workspace,
  steps: readonly Step[],
  before: readonly Copy[],
): Draw {
  const ids = gpu.allocate<tf.Tensor1D>([slots], 'int32');
  const numbers = gpu.allocate<tf.Tensor2D>([slots, 3]);
  const after = [
    { from: workspace.ids, to: gpu.bufferOf(ids), bytes: slots * 4 },
    { from: workspace.numbers, to: gpu.bufferOf(numbers), bytes: slots * 12 },
  ];
  gpu.run(steps, slots, { before, after });
  return { ids, numbers };
}

function drawOf({ sampling, position }: RowSampling): RowDraw {
  if (sampling.temperature === 0) return { sharpness: 0, draw: 0 };
  return { sharpness: 1 / sampling.temperature, draw: uniform(sampling.seed, position, PURPOSE.sample) };
}
