/** Whatever prompts come and whoever sits there: every position a prompt goes on from holds its own tokens by then. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEAST_SHARED } from '../model/prefix-store.ts';
import { sameLength } from '../model/prompt-tree.ts';
import { planArrivals, type Arrival, type Sitting } from './arrivals.ts';
import { PAGE, PagePool, pagesFor } from './page-pool.ts';

/** A cache that holds tokens instead of keys, of which earlier calls left `left`. */
class Tokens {
  readonly pool = new PagePool(200, 1);
  readonly pages = new Map<number, readonly number[]>();
  readonly #tokens = new Map<number, number>();
  readonly #left: readonly Int32Array[];

  constructor(left: readonly Int32Array[]) {
    this.#left = left;
  }

  known(prompt: Int32Array): number {
    const most = this.#left.reduce((all, one) => Math.max(all, sameLength(one, prompt)), 0);
    return most < LEAST_SHARED ? 0 : most;
  }

  seat(arriving: readonly Sitting[], sitting: readonly Sitting[]): Arrival[] {
    const arrivals = planArrivals(arriving, arriving.map(({ prompt }) => this.known(prompt)), sitting); // prettier-ignore
    for (const { slot, prompt, from, pages } of arrivals) {
      const shared = from === null ? [] : this.pages.get(from)!.slice(0, pages);
      expect(shared.length).toBe(pages);
      const own = this.pool.take(pagesFor(prompt.length + 1) - pages);
      this.pool.share(shared);
      this.pages.set(slot, [...shared, ...own]);
    }
    for (const { slot, prompt, pages, copied, first } of arrivals)
      if (first > pages * PAGE + copied) this.#write(slot, prompt, pages * PAGE, this.known(prompt));
    const last = Math.max(...arrivals.map(({ wave }) => wave));
    for (let wave = 0; wave <= last; wave++) {
      const now = arrivals.filter((one) => one.wave === wave);
      for (const { slot, from, pages, copied } of now)
        for (let i = pages * PAGE; i < pages * PAGE + copied; i++) this.#put(slot, i, this.at(from!, i));
      for (const { slot, prompt, first } of now) this.#write(slot, prompt, first, prompt.length);
      // Attention looks at all that comes before.
      for (const { slot, prompt } of now) expect(this.held(slot, prompt.length)).toEqual([...prompt]);
    }
    return arrivals;
  }

  held(slot: number, length: number): (number | undefined)[] {
    return Array.from({ length }, (_, position) => this.at(slot, position));
  }

  at(slot: number, position: number): number | undefined {
    return this.#tokens.get(this.pages.get(slot)![Math.floor(position / PAGE)] * PAGE + (position % PAGE));
  }

  #put(slot: number, position: number, token: number | undefined): void {
    this.#tokens.set(this.pages.get(slot)![Math.floor(position / PAGE)] * PAGE + (position % PAGE), token!);
  }

  #write(slot: number, prompt: Int32Array, first: number, end: number): void {
    for (let i = first; i < end; i++) this.#put(slot, i, prompt[i]);
  }
}

/** Of a few stems of 25 tokens each, so that many begin alike and part within a page. */
const prompts = (most: number): fc.Arbitrary<Int32Array[]> =>
  fc
    .array(fc.array(fc.nat(1), { minLength: 1, maxLength: 9 }), { maxLength: most })
    .map((all) => all.map((stems) => Int32Array.from(stems.flatMap((id) => new Array<number>(25).fill(id)))));

describe('arrivals', () => {
  it('go on from what holds their own tokens, and leave everyone else what is theirs', () => {
    fc.assert(
      fc.property(prompts(5), prompts(5), prompts(3), (first, second, left) => {
        const cache = new Tokens(left);
        const sitting: Sitting[] = [];
        for (const [call, some] of [first, second].entries()) {
          if (some.length === 0) continue;
          const arriving = some.map((prompt, i) => ({ slot: call * 10 + i, prompt }));
          const arrivals = cache.seat(arriving, sitting);
          sitting.push(...arriving);
          for (const { prompt, first: computed } of arrivals) expect(computed).toBeLessThan(prompt.length);
          for (const { slot, prompt } of sitting) expect(cache.held(slot, prompt.length)).toEqual([...prompt]);
        }
        for (const { slot } of sitting) cache.pool.release(cache.pages.get(slot)!);
        expect(cache.pool.free).toBe(200);
      }),
      { numRuns: 300 },
    );
  });

  it('hold a question once, and each sample the pages it writes to', () => {
    const prompt = Int32Array.from({ length: 150 }, (_, i) => i);
    const cache = new Tokens([]);
    const arriving = [0, 1, 2].map((slot) => ({ slot, prompt }));
    const [first, ...others] = cache.seat(arriving, []);
    expect(first).toMatchObject({ pages: 0, copied: 0, first: 0, wave: 0 });
    for (const other of others) expect(other).toMatchObject({ from: 0, pages: 2, copied: 21, first: 149, wave: 1 });
    expect(200 - cache.pool.free).toBe(3 + 1 + 1);
  });
});

describe('pages', () => {
  it('are free again once the last lets go, the lowest first', () => {
    const pool = new PagePool(6, 1);
    const [a, b] = [pool.take(3), pool.take(2)];
    pool.share(a.slice(0, 1));
    pool.release(a);
    expect(pool.take(3)).toEqual([1, 2, 5]);
    expect(pool.free).toBe(0);
    expect(() => pool.take(1)).toThrow('out of memory: the key-value cache');
    pool.release([0, ...b]);
    expect(pool.free).toBe(3);
    expect(() => pool.release(b)).toThrow('page 3 is free already');
  });
});
