/**
 * Log-probs and entropies of given responses under a policy: whole sequences through the trunk, heads in chunks, nothing
 * kept for gradients. Items of like length share a batch within a memory budget.
 */
import * as tf from '@tensorflow/tfjs';
import { chosenLogprobs, likeliest, type Likeliest } from '../model/head.ts';
import { headWeight, type ForwardWeights, type Trunk } from '../model/trunk.ts';
import type { Alternative, Scored } from '../protocol.ts';
import { DEFAULT_BUDGET, planBatches, type Budget, type Job } from './batches.ts';
import { tokenBatch } from './token-batch.ts';

export type ScoreItem = { readonly promptIds: readonly number[]; readonly ids: readonly number[] };
/** So many of the likeliest tokens in every place, and how a token is written. */
type Top = { readonly count: number; piece(id: number): string };
export type ScoreHooks = { readonly budget?: Budget; readonly top?: Top; yieldToEvents?(): Promise<void> };

/** Most alternatives a token may be asked for. */
export const TOP_MAX = 20;

/** One result per item, in order; an empty response scores as empty arrays. Prompts have at least one token. */
export async function score(
  trunk: Trunk,
  using: ForwardWeights,
  items: readonly ScoreItem[],
  hooks: ScoreHooks = {},
): Promise<Scored[]> {
  const results: Scored[] = items.map(() => ({ logprobs: [], entropy: [] }));
  const jobs = items.flatMap((item, index): Job[] =>
    item.ids.length > 0 ? [{ index, length: item.promptIds.length + item.ids.length }] : [],
  );
  for (const batch of planBatches(jobs, trunk.config, hooks.budget ?? DEFAULT_BUDGET)) {
    const scored = await scoreBatch(
      trunk,
      using,
      batch.map((job) => items[job.index]),
      hooks.top,
    );
    for (const [i, job] of batch.entries()) results[job.index] = scored[i];
    await hooks.yieldToEvents?.();
  }
  return results;
}

async function scoreBatch(
  trunk: Trunk,
  using: ForwardWeights,
  items: readonly ScoreItem[],
  top: Top = { count: 0, piece: String },
): Promise<Scored[]> {
  // Every state that predicts a token of a response has a row of its own.
  const shareable = Math.min(...items.map((item) => item.promptIds.length - 1));
  const batch = tokenBatch(
    items.map((item) => [...item.promptIds, ...item.ids]),
    shareable,
  );
  const before = batch.prefix?.length ?? 0;
  const rows = items.flatMap((item, row) =>
    item.ids.map((_, i) => row * batch.length + item.promptIds.length - before - 1 + i),
  );
  const ids = Int32Array.from(items.flatMap((item) => [...item.ids]));
  const { logprobs, entropy, best } = tf.tidy(() => {
    const hidden = trunk.forwardAt(batch, Int32Array.from(rows), using);
    const head = headWeight(trunk.config, using.weights);
    const scores = chosenLogprobs(hidden, head, ids, {
      entropyGradient: false,
      trainHead: false,
    });
    const best = top.count > 0 ? likeliest(hidden, head, top.count) : [];
    return { logprobs: scores.logprobs, entropy: scores.entropy, best };
  });
  const [chosen, spread] = [await logprobs.data(), await entropy.data()];
  const alternatives = best.length > 0 ? await alternativesOf(best as Likeliest, top) : null;
  tf.dispose([logprobs, entropy]);
  let at = 0;
  return items.map((item) => {
    const slice = [at, (at += item.ids.length)] as const;
    return {
      logprobs: [...chosen.slice(...slice)],
      entropy: [...spread.slice(...slice)],
      ...(alternatives ? { top: alternatives.slice(...slice) } : {}),
    };
  });
}

/** One list a row; takes the tensors. */
async function alternativesOf([ids, logprobs]: Likeliest, { piece }: Top): Promise<Alternative[][]> {
  const [rows, wide] = ids.shape;
  const [tokens, values] = [await ids.data(), await logprobs.data()];
  tf.dispose([ids, logprobs]);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: wide }, (_, at): Alternative => {
      const [id, logprob] = [tokens[row * wide + at], values[row * wide + at]];
      return { id, piece: piece(id), logprob };
    }),
  );
}
