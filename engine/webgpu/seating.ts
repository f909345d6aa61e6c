/**
 * Who sits in which slot of a cache of pages, with which adapter, and where their keys lie; with the tables by which a step
 * finds them. It knows pages, not what they hold.
 */
import type { Arrival, Sitting } from './arrivals.ts';
import { PAGE, PagePool, pagesFor } from './page-pool.ts';
import { writeTables, type StepRow } from './step.ts';

type Seat = { readonly prompt: Int32Array; readonly adapter: number | null; readonly pages: readonly number[] };

/** Where slots in which nobody sits write what nobody reads. */
const NOWHERE = 0;

export class Seating {
  readonly #pool: PagePool;
  /** By slot. */
  #seats: (Seat | null)[];
  #changed = true;

  /** `pages`: of all, the first of which is nobody's. `bytes` of a page, of all layers. */
  constructor(slots: number, pages: number, bytes: number) {
    this.#pool = new PagePool(pages, bytes);
    this.#pool.share([NOWHERE]);
    this.#seats = Array.from({ length: slots }, () => null);
  }

  /** Pages that nobody has. */
  get free(): number {
    return this.#pool.free;
  }

  /** Who reads with this adapter: whose pages others may begin with. */
  of(adapter: number | null): Sitting[] {
    return this.#seats.flatMap((seat, slot) =>
      seat && seat.adapter === adapter ? [{ slot, prompt: seat.prompt }] : [],
    );
  }

  /** Someone takes an empty slot, with pages for `span` positions. */
  sit({ slot, prompt, from, pages }: Arrival, adapter: number | null, span: number): void {
    const shared = from === null ? [] : this.pagesOf(from).slice(0, pages);
    const own = this.#pool.take(pagesFor(span) - shared.length);
    this.#pool.share(shared);
    this.#seats[slot] = { prompt, adapter, pages: [...shared, ...own] };
    this.#changed = true;
  }

  empty(slot: number): void {
    const seat = this.#seats[slot];
    if (!seat) return;
    this.#pool.release(seat.pages);
    this.#seats[slot] = null;
    this.#changed = true;
  }

  /** Keeps these, in this order. */
  select(slots: Int32Array): void {
    const kept = new Set(slots);
    for (let slot = 0; slot < this.#seats.length; slot++) if (!kept.has(slot)) this.empty(slot);
    this.#seats = Array.from(slots, (slot) => this.#seats[slot]);
    this.#changed = true;
  }

  /** In the order of its positions. */
  pagesOf(slot: number): readonly number[] {
    return this.#seats[slot]?.pages ?? [];
  }

  /** Of a step's row at a position. */
  rowOf(slot: number, position: number): Pick<StepRow, 'slot' | 'adapter' | 'position' | 'page'> {
    const seat = this.#seats[slot];
    const page = seat?.pages[Math.floor(position / PAGE)] ?? NOWHERE;
    return { slot, adapter: seat?.adapter ?? null, position, page };
  }

  /** The slots' tables of `width` pages; null where they were asked for since the last change. */
  tables(width: number): Uint32Array<ArrayBuffer> | null {
    if (!this.#changed) return null;
    this.#changed = false;
    const pages = this.#seats.map((seat) => seat?.pages ?? [NOWHERE]);
    return writeTables(pages, width);
  }

  /** The next tables are for a buffer that has none. */
  forgetTables(): void {
    this.#changed = true;
  }
}
