/**
 * Batched generation with a key-value cache. Requests are sorted into batches of like length, prefilled together and
 * decoded in step; finished sequences leave the batch, stop strings and limits end single ones, and every token is a
 * function of its own sequence and seed alone. It knows tokens and text, no policies, records or screens.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { FinishReason, Generation, Sampling } from '../protocol.ts';
import { headWeight, type Cache, type ForwardWeights, type TokenBatch, type Trunk } from '../model/trunk.ts';
import { capacityOf, DEFAULT_BUDGET, LENGTH_STEP, planBatches, roundUp, type Budget, type Job } from './batches.ts';
import { hostNumbers } from './read.ts';
import { chooseToken, type Choice } from './sample.ts';
import { ResponseText } from './stop.ts';

export type Order = { readonly record: string; readonly promptIds: readonly number[]; readonly sampling: Sampling };

export type Speaker = {
  readonly trunk: Trunk;
  readonly using: ForwardWeights;
  /** null where the model has none: then responses have ids and no text. */
  readonly tokenizer: Tokenizer | null;
};

export type GenerateHooks = {
  readonly budget?: Budget;
  onToken?(record: string, ids: readonly number[], text: string): void;
  onProgress?(done: number, total: number): void;
  cancelled?(): boolean;
  /** Lets messages run; called once a token. */
  yieldToEvents?(): Promise<void>;
};

/** One sequence in flight. */
type Sequence = {
  readonly order: Order;
  readonly limit: number;
  readonly limitReason: FinishReason;
  readonly response: ResponseText | null;
  readonly ids: number[];
  readonly logprobs: number[];
  readonly entropy: number[];
  finish: FinishReason | null;
};

/**
 * Answers every order, in their order. Cancelled sequences come back with what they have and finish 'cancelled'; prompts
 * that leave no room in the context come back empty with finish 'context'.
 */
export async function generate(speaker: Speaker, orders: readonly Order[], hooks: GenerateHooks = {}): Promise<Generation[]> {
  const sequences = orders.map((order) => newSequence(speaker, order));
  const jobs: Job[] = sequences.flatMap(({ order, limit }, index) => (limit > 0 ? [{ index, promptLength: order.promptIds.length, newTokens: limit }] : []));
  const run = { done: sequences.length - jobs.length, total: sequences.length };
  for (const batch of planBatches(jobs, speaker.trunk.config, hooks.budget ?? DEFAULT_BUDGET)) {
    await runBatch(speaker, batch.map((job) => sequences[job.index]), hooks, run);
  }
  return sequences.map((sequence) => finished(speaker, sequence));
}

function newSequence(speaker: Speaker, order: Order): Sequence {
  const room = Math.max(0, speaker.trunk.config.contextLength - order.promptIds.length);
  return {
    order,
    limit: Math.min(order.sampling.maxTokens, room),
    limitReason: order.sampling.maxTokens <= room ? 'length' : 'context',
    response: speaker.tokenizer ? new ResponseText(speaker.tokenizer, order.sampling.stop) : null,
    ids: [],
    logprobs: [],
    entropy: [],
    finish: room === 0 ? 'context' : null,
  };
}

/** Decodes one batch; when memory runs out before its first token, in two halves. */
async function runBatch(speaker: Speaker, sequences: Sequence[], hooks: GenerateHooks, run: { done: number; total: number }): Promise<void> {
  if (hooks.cancelled?.()) {
    for (const sequence of sequences) sequence.finish = 'cancelled';
    return;
  }
  try {
    await decodeBatch(speaker, sequences, hooks, run);
  } catch (error) {
    const started = sequences.some((sequence) => sequence.ids.length > 0);
    if (!isOutOfMemory(error) || started || sequences.length === 1) throw error;
    const half = sequences.length >> 1;
    await runBatch(speaker, sequences.slice(0, half), hooks, run);
    await runBatch(speaker, sequences.slice(half), hooks, run);
  }
}

async function decodeBatch(speaker: Speaker, sequences: Sequence[], hooks: GenerateHooks, run: { done: number; total: number }): Promise<void> {
  const { trunk, using } = speaker;
  const ends = new Set([...trunk.config.eosIds, ...(speaker.tokenizer?.eosIds ?? [])]);
  const jobs = sequences.map(({ order, limit }, index): Job => ({ index, promptLength: order.promptIds.length, newTokens: limit }));
  const cache = trunk.openCache(sequences.length, capacityOf(jobs));
  let active = sequences;
  let hidden: tf.Tensor2D | null = null;
  try {
    hidden = trunk.prefill(cache, tokenBatch(sequences.map(({ order }) => order.promptIds)), using);
    while (active.some((sequence) => sequence.finish === null)) {
      const logits: tf.Tensor2D = tf.matMul(hidden, headWeight(trunk.config, using.weights), false, true);
      hidden.dispose();
      hidden = null;
      takeTokens(active, await hostNumbers(logits), trunk.config.vocab, ends, hooks, run);
      logits.dispose();
      await hooks.yieldToEvents?.();
      if (hooks.cancelled?.()) for (const sequence of active) sequence.finish ??= 'cancelled';
      active = dropFinished(active, cache);
      if (active.length === 0) break;
      const ids = tf.tensor1d(active.map((sequence) => sequence.ids.at(-1)!), 'int32');
      hidden = trunk.decode(cache, ids, using);
      ids.dispose();
    }
  } finally {
    hidden?.dispose();
    cache.dispose();
  }
}

/** Right-padded to a bucketed length. */
export function tokenBatch(prompts: readonly (readonly number[])[]): TokenBatch {
  const lengths = Int32Array.from(prompts, (prompt) => prompt.length);
  const longest = lengths.reduce((a, b) => Math.max(a, b), 1);
  const length = tf.getBackend() === 'webgpu' ? roundUp(longest, LENGTH_STEP) : longest;
  const ids = new Int32Array(prompts.length * length);
  for (const [row, prompt] of prompts.entries()) ids.set(prompt, row * length);
  return { ids, batch: prompts.length, length, lengths };
}

function takeTokens(active: readonly Sequence[], logits: Float32Array, vocab: number, ends: ReadonlySet<number>, hooks: GenerateHooks, run: { done: number; total: number }): void {
  for (const [slot, sequence] of active.entries()) {
    if (sequence.finish !== null) continue;
    const position = sequence.order.promptIds.length + sequence.ids.length;
    const choice = chooseToken(logits.subarray(slot * vocab, (slot + 1) * vocab), sequence.order.sampling, position);
    addToken(sequence, choice, ends, hooks);
    if (sequence.finish !== null) hooks.onProgress?.(++run.done, run.total);
  }
}

function addToken(sequence: Sequence, choice: Choice, ends: ReadonlySet<number>, hooks: GenerateHooks): void {
  sequence.ids.push(choice.id);
  sequence.logprobs.push(choice.logprob);
  sequence.entropy.push(choice.entropy);
  let fresh = '';
  if (ends.has(choice.id)) sequence.finish = 'stop';
  else if (sequence.response) {
    const pushed = sequence.response.push(choice.id);
    fresh = pushed.fresh;
    if (pushed.stopped) sequence.finish = 'stop-string';
  }
  if (sequence.finish === null && sequence.ids.length >= sequence.limit) sequence.finish = sequence.limitReason;
  if (sequence.finish !== null && sequence.finish !== 'stop-string') fresh += sequence.response?.end() ?? '';
  hooks.onToken?.(sequence.order.record, [choice.id], fresh);
}

/** Finished slots cost as much as live ones, so they leave once half the batch is done, or when one would overflow its cache. */
function dropFinished(active: Sequence[], cache: Cache): Sequence[] {
  const live = active.flatMap((sequence, slot) => (sequence.finish === null ? [slot] : []));
  if (live.length === active.length) return active;
  const overflow = cache.lengths.some((length) => length >= cache.capacity);
  if (live.length > active.length / 2 && !overflow) return active;
  if (live.length > 0) cache.select(Int32Array.from(live));
  return live.map((slot) => active[slot]);
}

function finished(speaker: Speaker, sequence: Sequence): Generation {
  const { order, ids, response } = sequence;
  if (sequence.finish === 'cancelled') response?.end();
  return {
    record: order.record,
    promptIds: order.promptIds,
    ids,
    pieces: ids.map((id) => speaker.tokenizer?.piece(id) ?? ''),
    text: response?.text ?? '',
    logprobs: sequence.logprobs,
    entropy: sequence.entropy,
    finish: sequence.finish ?? 'cancelled',
  };
}
