/**
 * How the tokens of a batch lie as rows of one matrix: what all sequences begin with first, once, then every sequence's
 * rest. Layers that look at one token at a time do not see the difference; attention and positions do.
 */
import type { TokenBatch } from './trunk.ts';

/** [shared + batch * length] rows. */
export type RowLayout = { readonly shared: number; readonly batch: number; readonly length: number };

export function rowLayout({ prefix, batch, length }: TokenBatch): RowLayout {
  return { shared: prefix?.length ?? 0, batch, length };
}

/** Ids in the order of the rows. */
export function rowIds({ prefix, ids }: TokenBatch): Int32Array {
  if (!prefix?.length) return ids;
  const rows = new Int32Array(prefix.length + ids.length);
  rows.set(prefix);
  rows.set(ids, prefix.length);
  return rows;
}

/** The position of every row. */
export function rowPositions({ shared, batch, length }: RowLayout): Int32Array {
  return Int32Array.from({ length: shared + batch * length }, (_, row) =>
    row < shared ? row : shared + ((row - shared) % length),
  );
}

/** Length of what all prompts begin with, at most `most` of it and never the whole of one: its last token has its own row. */
export function sharedLength(prompts: readonly ArrayLike<number>[], most = Infinity): number {
  const first = prompts[0];
  let shared = Math.min(most, ...prompts.map((prompt) => prompt.length - 1));
  for (const prompt of prompts) {
    let same = 0;
    while (same < shared && prompt[same] === first[same]) same++;
    shared = same;
  }
  return Math.max(0, shared);
}

/** Prefix and rest of one sequence, without padding. */
export function promptOf({ prefix, ids, length, lengths }: TokenBatch, i: number): Int32Array {
  const rest = ids.subarray(i * length, i * length + lengths[i]);
  return prefix?.length ? Int32Array.of(...prefix, ...rest) : rest;
}
