/**
 * Micro-batches: which sequences go through the trunk together, within a budget of tokens, padding included. Sequences
 * that begin alike are packed together and their common prefix is computed once; among them, those of like length. The budget only bounds memory: weights and sums are over the whole mini-batch, so that
 * the result is the same however it is cut. When memory runs out the budget is halved, and said so.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import { UserError } from '../errors.ts';
import type { Policy } from '../model/policy.ts';
import type { TokenBatch } from '../model/trunk.ts';
import { sharedLength } from '../model/row-layout.ts';
import { families } from './families.ts';
import { computesOnHost } from './host.ts';
import type { Sequence } from './records.ts';

export type MicroBatch = {
  readonly batch: TokenBatch;
  /** Indices of the sequences, in the order of the batch's rows. */
  readonly members: readonly number[];
  /** Of the hidden states [batch * length], the row that predicts each response token. // [n] */
  readonly rows: Int32Array;
  /** Response tokens. // [n] */
  readonly ids: Int32Array;
};

/** WebGPU buffers are pooled by exact size and never freed, so there lengths are rounded up to few distinct ones. */
const GPU_LENGTH_STEP = 16;

/**
 * On the CPU more tokens at once are no faster: the activations only leave the cache (1.6M parameters, 3,100 tokens, two
 * busy cores: 430 ms with 1,024, 489 ms with 4,096). Adding a gradient costs about 1 % of 1,024 tokens' work at any size.
 */
const HOST_TOKENS = 1024;

/** The last response token predicts nothing, so it is not fed. */
function inputLength({ promptIds, ids }: Sequence): number {
  return promptIds.length + ids.length - 1;
}

/** Packs the sequences at `indices`, family by family, longest first, into micro-batches of at most `budget` tokens (at least one sequence each). */
export function packMicroBatches(
  sequences: readonly Sequence[],
  indices: readonly number[],
  budget: number,
): MicroBatch[] {
  const prompts = sequences.map(({ promptIds }) => promptIds);
  const ordered = families(prompts, indices).map((family) => [...family].sort((a, b) => a - b));
  ordered.sort((a, b) => a[0] - b[0]);
  return ordered.flatMap((family) => packFamily(sequences, family, budget));
}

function packFamily(sequences: readonly Sequence[], family: readonly number[], budget: number): MicroBatch[] {
  const step = tf.getBackend() === 'webgpu' ? GPU_LENGTH_STEP : 1;
  const sharedBy = (members: readonly number[]): number => {
    const shared = sharedLength(members.map((i) => sequences[i].promptIds));
    return members.length > 1 ? shared - (shared % step) : 0;
  };
  const inFamily = sharedBy(family);
  const padded = (i: number, shared: number) => Math.ceil((inputLength(sequences[i]) - shared) / step) * step;
  const longestFirst = [...family].sort((a, b) => inputLength(sequences[b]) - inputLength(sequences[a]) || a - b);
  const groups: number[][] = [];
  for (const i of longestFirst) {
    const group = groups.at(-1);
    if (group && inFamily + (group.length + 1) * padded(group[0], inFamily) <= budget) group.push(i);
    else groups.push([i]);
  }
  return groups.map((members) => {
    const shared = sharedBy(members);
    return buildMicroBatch(sequences, members, shared, padded(members[0], shared));
  });
}

/** `shared`: tokens of the common prefix that stand apart; `length`: of the longest rest, padded. */
function buildMicroBatch(
  sequences: readonly Sequence[],
  members: readonly number[],
  shared: number,
  length: number,
): MicroBatch {
  const ids = new Int32Array(members.length * length);
  const rows: number[] = [];
  const responses: number[] = [];
  members.forEach((index, b) => {
    const { promptIds, ids: response } = sequences[index];
    const first = b * length - shared;
    for (let t = shared; t < promptIds.length; t++) ids[first + t] = promptIds[t];
    for (let t = 0; t < response.length; t++) {
      if (t + 1 < response.length) ids[first + promptIds.length + t] = response[t];
      rows.push(first + promptIds.length - 1 + t);
      responses.push(response[t]);
    }
  });
  const prefix = Int32Array.from({ length: shared }, (_, t) => sequences[members[0]].promptIds[t]);
  const lengths = Int32Array.from(members, (index) => inputLength(sequences[index]) - shared);
  return {
    batch: { prefix, ids, batch: members.length, length, lengths },
    members,
    rows: Int32Array.from(rows),
    ids: Int32Array.from(responses),
  };
}

/** The micro-batch's share of a flat per-token array. // [n] */
export function takeTokens(flat: Float32Array, starts: Uint32Array, micro: MicroBatch): Float32Array {
  const out = new Float32Array(micro.ids.length);
  let at = 0;
  for (const r of micro.members) {
    out.set(flat.subarray(starts[r], starts[r + 1]), at);
    at += starts[r + 1] - starts[r];
  }
  return out;
}

/** Puts a micro-batch's numbers back in their places. */
export function putTokens(flat: Float32Array, starts: Uint32Array, micro: MicroBatch, values: ArrayLike<number>): void {
  let at = 0;
  for (const r of micro.members) for (let t = starts[r]; t < starts[r + 1]; t++) flat[t] = values[at++];
}

/** What a policy's micro-batches were once halved to; remembered, or every update would run out of memory again. */
const knownBudgets = new WeakMap<Policy, number>();

/**
 * Runs `work` with a token budget, again with half of it whenever memory runs out, and notes each halving. `work` starts
 * anew each time and must not have changed the policy before it could fail. `longest` is the longest sequence's length:
 * below it a smaller budget cannot help, and a UserError says so.
 */
export async function withinMemory<T>(
  policy: Policy,
  wanted: number,
  longest: number,
  notes: string[],
  work: (budget: number) => Promise<T>,
): Promise<T> {
  let budget = Math.min(wanted, knownBudgets.get(policy) ?? wanted, computesOnHost() ? HOST_TOKENS : wanted);
  for (;;) {
    try {
      return await work(budget);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      if (budget <= longest)
        throw new UserError(
          `Out of memory with a micro-batch of one sequence of ${longest} tokens: take a smaller model, LoRA on fewer layers, or shorter prompts.`,
        );
      budget = Math.max(longest, Math.floor(budget / 2));
      knownBudgets.set(policy, budget);
      notes.push(`micro-batch halved to ${budget.toLocaleString('en-US')} tokens: out of memory`);
    }
  }
}

/** Longest input of the sequences. */
export function longestInput(sequences: readonly Sequence[]): number {
  return sequences.reduce((longest, sequence) => Math.max(longest, inputLength(sequence)), 1);
}
