/**
 * What prompts begin with alike, so that it is computed once: each prompt takes the keys of its beginning from the earlier
 * one that shares most with it, or from what earlier calls left, and computes the rest. Waves follow one another: a prompt comes after the one it takes from.
 */
import { LEAST_SHARED } from './prefix-store.ts';

export type PromptNode = {
  readonly index: number;
  /** The prompt it takes its beginning from, or null for what is known; and how many tokens. The last of a prompt is always its own. */
  readonly from: number | null;
  readonly shared: number;
};

/** Prompts in waves, all to be read by the same model. `known`: how many tokens of each need not be computed at all. */
export function promptWaves(
  prompts: readonly Int32Array[],
  known: readonly number[] = prompts.map(() => 0),
): PromptNode[][] {
  const waves: PromptNode[][] = [];
  const waveOf: number[] = [];
  for (const [index, prompt] of prompts.entries()) {
    let [from, shared] = [-1, Math.max(known[index], LEAST_SHARED - 1)];
    for (let earlier = 0; earlier < index; earlier++) {
      const same = sameLength(prompts[earlier], prompt);
      if (same > shared) [from, shared] = [earlier, same];
    }
    const node = from < 0 ? { index, from: null, shared: known[index] } : { index, from, shared };
    waveOf.push(from < 0 ? 0 : waveOf[from] + 1);
    (waves[waveOf[index]] ??= []).push(node);
  }
  return waves;
}

/** How many tokens `prompt` may take from `earlier`. */
export function sameLength(earlier: ArrayLike<number>, prompt: ArrayLike<number>): number {
  const most = Math.min(earlier.length, prompt.length - 1);
  let same = 0;
  while (same < most && earlier[same] === prompt[same]) same++;
  return same;
}
