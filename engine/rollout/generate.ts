/**
 * Batched generation with a key-value cache. Requests are sorted into batches of like length, prefilled together and
 * decoded in step; every token is a function of its own sequence and seed alone. It knows tokens and text, no policies,
 * records or screens.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import type { Generation } from '../protocol.ts';
import { capacityOf, DEFAULT_BUDGET, LENGTH_STEP, planBatches, roundUp, type Budget, type Job } from './batches.ts';
import { sharedLength } from '../model/row-layout.ts';
import { decodeToEnd, type DecodeHooks } from './decode.ts';
import { Sequence, type Order } from './sequence.ts';

export type { Order } from './sequence.ts';

export type Speaker = {
  readonly trunk: Trunk;
  readonly using: ForwardWeights;
  /** null where the model has none: then responses have ids and no text. */
  readonly tokenizer: Tokenizer | null;
};

export type GenerateHooks = Omit<DecodeHooks, 'onFinished'> & {
  readonly budget?: Budget;
  onProgress?(done: number, total: number): void;
};

/**
 * Answers every order, in their order. Cancelled sequences come back with what they have and finish 'cancelled'; prompts
 * that leave no room in the context come back empty with finish 'context'.
 */
export async function generate(
  speaker: Speaker,
  orders: readonly Order[],
  hooks: GenerateHooks = {},
): Promise<Generation[]> {
  const sequences = orders.map((order) => new Sequence(order, speaker.trunk.config.contextLength, speaker.tokenizer));
  const jobs = sequences.flatMap((sequence, index) => (sequence.finish === null ? [jobOf(sequence, index)] : []));
  let done = sequences.length - jobs.length;
  const counting = { ...hooks, onFinished: () => hooks.onProgress?.(++done, sequences.length) };
  for (const batch of planBatches(jobs, speaker.trunk.config, hooks.budget ?? DEFAULT_BUDGET)) {
    await runBatch(speaker, batch.map((job) => sequences[job.index]), counting); // prettier-ignore
  }
  return sequences.map((sequence) => sequence.result());
}

const jobOf = ({ order, limit }: Sequence, index: number): Job => ({
  index,
  promptLength: order.promptIds.length,
  newTokens: limit,
});

/** Decodes one batch; when memory runs out before its first token, in two halves. */
async function runBatch(speaker: Speaker, sequences: readonly Sequence[], hooks: DecodeHooks): Promise<void> {
  if (hooks.cancelled?.()) {
    for (const sequence of sequences) sequence.cancel();
    return;
  }
  try {
    await prefillAndDecode(speaker, sequences, hooks);
  } catch (error) {
    const started = sequences.some((sequence) => sequence.tokens > 0);
    if (!isOutOfMemory(error) || started || sequences.length === 1) throw error;
    const half = sequences.length >> 1;
    await runBatch(speaker, sequences.slice(0, half), hooks);
    await runBatch(speaker, sequences.slice(half), hooks);
  }
}

async function prefillAndDecode(
  { trunk, using, tokenizer }: Speaker,
  sequences: readonly Sequence[],
  hooks: DecodeHooks,
): Promise<void> {
  const ends = new Set([...trunk.config.eosIds, ...(tokenizer?.eosIds ?? [])]);
  const cache = trunk.openCache(sequences.length, capacityOf(sequences.map(jobOf)));
  try {
    const hidden = trunk.prefill(cache, tokenBatch(sequences.map(({ order }) => order.promptIds)), using); // prettier-ignore
    await decodeToEnd({ trunk, using, cache, ends }, sequences, hidden, hooks);
  } finally {
    cache.dispose();
  }
}

/**
 * Right-padded, to a bucketed length where every new length would be compiled anew, behind what all begin with. `shareable`
 * is how much of each prompt may stand in the prefix; its last token never does.
 */
export function tokenBatch(prompts: readonly (readonly number[])[], shareable = Infinity): TokenBatch {
  const step = tf.getBackend() === 'webgpu' ? LENGTH_STEP : 1;
  const common = prompts.length > 1 ? sharedLength(prompts, shareable) : 0;
  const shared = common - (common % step);
  const lengths = Int32Array.from(prompts, (prompt) => prompt.length - shared);
  const length = roundUp(lengths.reduce((a, b) => Math.max(a, b), 1), step); // prettier-ignore
  const ids = new Int32Array(prompts.length * length);
  for (const [row, prompt] of prompts.entries()) ids.set(prompt.slice(shared), row * length);
  return { prefix: Int32Array.from(prompts[0].slice(0, shared)), ids, batch: prompts.length, length, lengths };
}
