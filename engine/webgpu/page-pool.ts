/**
 * Pages of a key-value cache: so many positions each, of one sequence or of several that begin alike, until the last of them
 * lets go. Sequences share only pages that nobody writes to any more; who goes on from the middle of one has a copy.
 */
import { OutOfMemory } from '../device/out-of-memory.ts';

/** Positions of a page: a multiple of what a team of threads walks at a time. */
export const PAGE = 64;

export const pagesFor = (positions: number): number => Math.ceil(positions / PAGE);

export class PagePool {
  /** Of every page, how many sequences hold it. */
  readonly #holders: Uint32Array;
  readonly #bytes: number;

  /** `bytes` of a page, of all layers. */
  constructor(count: number, bytes: number) {
    this.#holders = new Uint32Array(count);
    this.#bytes = bytes;
  }

  get free(): number {
    return this.#holders.reduce((sum, holders) => sum + (holders === 0 ? 1 : 0), 0);
  }

  /** The lowest that are free: neighbours are copied at once. */
  take(count: number): number[] {
    const pages: number[] = [];
    for (let page = 0; pages.length < count && page < this.#holders.length; page++)
      if (this.#holders[page] === 0) pages.push(page);
    if (pages.length < count) throw new OutOfMemory(count * this.#bytes, 'the key-value cache');
    this.share(pages);
    return pages;
  }

  share(pages: readonly number[]): void {
    for (const page of pages) this.#holders[page]++;
  }

  release(pages: readonly number[]): void {
    for (const page of pages) {
      if (this.#holders[page] === 0) throw new Error(`page ${page} is free already`);
      this.#holders[page]--;
    }
  }
}
