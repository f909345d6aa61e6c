/**
 * The responses one update learns from, laid out flat. It owns their checks and their order: by record id first and then by
 * a shuffle that is a function of (seed, step, epoch), so that neither arrival order nor timing ever shows in a result.
 */
import { UserError } from '../errors.ts';
import type { SettledRecord } from '../protocol.ts';
import { PURPOSE, philox } from '../rollout/rng.ts';

/** A prompt and the response to it, as token ids. */
export type Sequence = { readonly promptIds: ArrayLike<number>; readonly ids: ArrayLike<number> };

/** What the engine keeps of a generation: the sampler's own ids and their log-probs. */
export type KeptRecord = Sequence & { readonly logprobs: ArrayLike<number> };

/** A kept record with its settled reward. */
export type TrainRecord = SettledRecord & KeptRecord;

/** Response tokens of all sequences, one after another: sequence r has tokens starts[r] … starts[r + 1] - 1. */
export type Flat = { readonly starts: Uint32Array; readonly tokens: number };

export function flatLayout(sequences: readonly Sequence[]): Flat {
  const starts = new Uint32Array(sequences.length + 1);
  sequences.forEach(({ ids }, r) => (starts[r + 1] = starts[r] + ids.length));
  return { starts, tokens: starts[sequences.length] };
}

/** Throws a UserError where a sequence cannot be trained on: empty prompt, ids outside the vocabulary, longer than the context. */
export function checkSequence(sequence: Sequence, what: string, vocab: number, contextLength: number): void {
  const { promptIds, ids } = sequence;
  if (promptIds.length === 0)
    throw new UserError(`${what} has an empty prompt; a response needs at least one token before it.`);
  const total = promptIds.length + ids.length;
  if (total > contextLength)
    throw new UserError(
      `${what} has ${total} tokens where the model reads ${contextLength}; shorten the prompt or lower the response's limit.`,
    );
  for (const list of [promptIds, ids])
    for (let i = 0; i < list.length; i++)
      if (!(Number.isInteger(list[i]) && list[i] >= 0 && list[i] < vocab))
        throw new UserError(
          `${what} holds token ${list[i]} where the model knows 0 to ${vocab - 1}; encode it with the model's own tokenizer.`,
        );
}

/** Checks records and puts them in the order of their ids. Records without a response token are left out and counted. */
export function orderRecords(
  records: readonly TrainRecord[],
  vocab: number,
  contextLength: number,
): { records: TrainRecord[]; empty: number } {
  const seen = new Set<string>();
  for (const record of records) {
    const what = `Record ${JSON.stringify(record.record)}`;
    if (seen.has(record.record))
      throw new UserError(`${what} was settled twice in one update; settle each record once.`);
    seen.add(record.record);
    checkSequence(record, what, vocab, contextLength);
    if (!Number.isFinite(record.reward))
      throw new UserError(`${what} has a reward of ${record.reward}; a reward must be a finite number.`);
    if (record.logprobs.length !== record.ids.length)
      throw new Error(`${what}: ${record.logprobs.length} log-probs for ${record.ids.length} tokens`);
  }
  const full = records.filter(({ ids }) => ids.length > 0);
  full.sort((a, b) => (a.record < b.record ? -1 : 1));
  return { records: full, empty: records.length - full.length };
}

/** A permutation of 0 … n - 1 from (seed, step, epoch) alone: indices ordered by a random word each, ties by index. */
export function shuffled(n: number, seed: number, step: number, epoch: number): number[] {
  const keys = Float64Array.from({ length: n }, (_, i) => philox([i, step, epoch, 0], [seed, PURPOSE.shuffle])[0]);
  return Array.from({ length: n }, (_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b);
}

/** `order` cut into `parts` runs whose lengths differ by at most one; fewer where there are too few records. */
export function cutEvenly(order: readonly number[], parts: number): number[][] {
  const count = Math.min(parts, order.length);
  return Array.from({ length: count }, (_, i) =>
    order.slice(Math.floor((i * order.length) / count), Math.floor(((i + 1) * order.length) / count)),
  );
}
