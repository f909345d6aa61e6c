/**
 * How prompts take their seats in a cache of pages: each begins with the whole pages of whoever has most in common with it,
 * sitting already or arriving before it, takes a copy of what the next page has in common, or what earlier calls left, and
 * computes the rest.
 */
import { sameLength } from '../model/prompt-tree.ts';
import { LEAST_SHARED } from '../model/prefix-store.ts';
import { PAGE } from './page-pool.ts';

/** Whoever sits in a slot, or is about to, and what it was asked. */
export type Sitting = { readonly slot: number; readonly prompt: Int32Array };

export type Arrival = Sitting & {
  /** The slot whose pages it begins with, how many of them, and how many positions of the next it copies. */
  readonly from: number | null;
  readonly pages: number;
  readonly copied: number;
  /** The first position it computes; what is neither shared nor copied before it was left by earlier calls. */
  readonly first: number;
  /** When it copies and computes: after those it goes on from. */
  readonly wave: number;
};

type Known = Sitting & { readonly wave: number; readonly kept: number };

/**
 * In the order of `arriving`, in which they take their pages; all read by the same model. `kept`: how many tokens of each
 * prompt earlier calls left. The last token of a prompt is always computed.
 */
export function planArrivals(
  arriving: readonly Sitting[],
  kept: readonly number[],
  sitting: readonly Sitting[] = [],
): Arrival[] {
  const known: Known[] = sitting.map((one) => ({ ...one, wave: -1, kept: one.prompt.length }));
  return arriving.map(({ slot, prompt }, i) => {
    const [best, most] = closest(known, prompt);
    const goesOn = best !== null && most >= LEAST_SHARED && most > kept[i];
    const wave = goesOn ? best.wave + 1 : 0;
    // What both begin with of what was left is there before any wave.
    const shared = goesOn ? most : Math.min(most, best?.kept ?? 0);
    const pages = Math.floor(shared / PAGE);
    known.push({ slot, prompt, wave, kept: kept[i] });
    return {
      ...{ slot, prompt, wave, pages, from: best && (goesOn || pages > 0) ? best.slot : null },
      ...{ copied: goesOn ? most % PAGE : 0, first: goesOn ? most : kept[i] },
    };
  });
}

function closest(known: readonly Known[], prompt: Int32Array): readonly [Known | null, number] {
  let [best, most]: [Known | null, number] = [null, 0];
  for (const one of known) {
    const same = sameLength(one.prompt, prompt);
    if (same > most) [best, most] = [one, same];
  }
  return [best, most];
}
