/**
 * The decoder on our own WebAssembly: prompts and decoding run as steps over the plain trunk's cache, and what prompts begin
 * with is computed once and kept from call to call. Whole sequences, and their gradients, are the plain trunk's.
 */
import type * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { WasmMachine } from '../device/wasm-machine.ts';
import { MOST_CACHED } from '../device/wasm-gemm/cached-attention.ts';
import type { ModelConfig } from '../formats/config.ts';
import { KeyValueCache } from '../model/cache.ts';
import { leanBlockFits } from '../model/lean-block.ts';
import { PREFIX_BYTES, PrefixStore } from '../model/prefix-store.ts';
import { promptWaves, type PromptNode } from '../model/prompt-tree.ts';
import { promptOf } from '../model/row-layout.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import type { Cache, ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import { copyPositions, shelfOf, type Kept, type SlotPlace } from './key-values.ts';
import { Stepper, type StepRow } from './step.ts';

/** Most rows of one step of a prompt: two blocks of the product's, and small buffers. */
const PASS_ROWS = 384;

/** Whether the jobs can run this model. */
export function wasmTrunkFits(config: ModelConfig): boolean {
  return leanBlockFits(config) && config.contextLength <= MOST_CACHED;
}

/** `prefixBytes`: for what prompts begin with, from call to call. */
export function makeWasmTrunk(machine: WasmMachine, config: ModelConfig, prefixBytes = PREFIX_BYTES): Trunk {
  const plain = makeTfjsTrunk(config);
  const stepper = new Stepper(machine, config);
  const prefixes = new PrefixStore(shelfOf(machine, config), prefixBytes);
  const forget = machine.whenShort(() => prefixes.clear());
  const ground = { machine, config, stepper, prefixes };
  return {
    ...plain,
    packs: ['q8', 'q4'],
    logits: (cache, hidden) => stepper.logits(asOurs(cache).using, hidden),
    prefill: (cache, prompts, using, slots) => prefill(ground, asOurs(cache), prompts, using, slots),
    decode: (cache, ids) => decode(stepper, asOurs(cache), ids),
    dispose: () => {
      forget();
      prefixes.clear();
      stepper.dispose();
      plain.dispose();
    },
  };
}

type Ground = {
  readonly machine: WasmMachine;
  readonly config: ModelConfig;
  readonly stepper: Stepper;
  readonly prefixes: PrefixStore<SlotPlace, Kept>;
};

function asOurs(cache: Cache): KeyValueCache {
  if (!(cache instanceof KeyValueCache)) throw new Error('a cache of another trunk');
  return cache;
}

function prefill(
  { machine, config, stepper, prefixes }: Ground,
  cache: KeyValueCache,
  batch: TokenBatch,
  using: ForwardWeights,
  given?: Int32Array,
): tf.Tensor2D {
  // Prompts are read by the exact weights, whatever their answers are: what they leave is the same.
  const exact = { weights: using.weights, adapter: using.adapter };
  const slots = given ?? Int32Array.from({ length: cache.slots }, (_, slot) => slot);
  if (batch.batch !== slots.length) throw new Error(`${batch.batch} prompts for ${slots.length} cache slots`);
  const prompts = [...slots].map((_, i) => promptOf(batch, i));
  const longest = Math.max(...prompts.map(({ length }) => length));
  if (longest > cache.capacity) throw new Error(`prompts of ${longest} tokens in a cache of ${cache.capacity}`);
  cache.runWith(using);
  const hidden = machine.allocate<tf.Tensor2D>([slots.length, config.hidden]);
  const placeOf = (index: number): SlotPlace => ({ cache, slot: slots[index] });
  const known = prompts.map((prompt) => prefixes.known(prompt, exact));
  for (const wave of promptWaves(prompts, known)) {
    for (const { index, from, shared } of wave)
      if (from !== null) copyPositions(machine, config, placeOf(from), placeOf(index), shared);
      else if (shared > 0) prefixes.take(prompts[index], exact, placeOf(index));
    const rows = wave.flatMap((node) => restOf(node, prompts[node.index], slots[node.index]));
    for (let first = 0; first < rows.length; first += PASS_ROWS)
      stepper.states(cache, rows.slice(first, first + PASS_ROWS), hidden, 'prompts');
  }
  prompts.forEach((prompt, i) => (cache.lengths[slots[i]] = prompt.length));
  try {
    prompts.forEach((prompt, i) => prefixes.keep(prompt, exact, placeOf(i)));
  } catch (error) {
    // Memory is short: nothing more is kept.
    if (!isOutOfMemory(error)) throw error;
  }
  return hidden;
}

/** The tokens of a prompt that are not copied. The last leaves its state. */
function restOf({ index, shared }: PromptNode, prompt: Int32Array, slot: number): StepRow[] {
  return Array.from(prompt.subarray(shared), (id, i) => {
    const position = shared + i;
    return { slot, position, id, out: position === prompt.length - 1 ? index : null };
  });
}

function decode(stepper: Stepper, cache: KeyValueCache, ids: tf.Tensor1D): tf.Tensor2D {
  if (cache.lengths.some((length) => length >= cache.capacity))
    throw new Error(`KV cache full: ${cache.capacity} positions`);
  const tokens = ids.dataSync();
  const rows = Array.from(cache.lengths, (position, slot): StepRow => ({
    slot,
    position,
    id: tokens[slot],
    out: slot,
  }));
  const hidden = stepper.allocate(cache.slots);
  stepper.states(cache, rows, hidden, 'answers');
  for (let slot = 0; slot < cache.slots; slot++) cache.lengths[slot]++;
  return hidden;
}
