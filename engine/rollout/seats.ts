/**
 * Who sits in which slot of a cache, and who waits. A sequence that has ended leaves its slot to one that waits; where none
 * does, finished slots leave the cache in the end. Knows prompts and lengths; what is drawn and read is the loops' affair.
 */
import type * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { Cache, Trunk, Wanted } from '../model/trunk.ts';
import { planStage, prefillFits, type Budget } from './batches.ts';
import { tokenBatch } from './token-batch.ts';
import type { Sequence } from './sequence.ts';

export type Seat = {
  readonly sequence: Sequence;
  /** Its tokens whose drawing was ordered, read or not. */
  drawn: number;
};

/** Sequences that just took their seats, with the last state of each prompt. // [slots.length, hidden] */
export type Arrival = { readonly slots: Int32Array; readonly seats: readonly Seat[]; readonly hidden: tf.Tensor2D };

/** Prompts are computed together, and what they begin with only once: slots are filled when so many, an nth of all, are free. */
const FILL_SHARE = 8;

/** Those who came later get a cache of their own once it would seat so many times as many as what is left of this one. */
const WIDER = 2;

export class Seats {
  readonly trunk: Trunk;
  readonly cache: Cache;
  /** By slot; null where nobody has sat yet. */
  seats: (Seat | null)[];
  readonly #waiting: Sequence[];
  readonly #budget: Budget;
  readonly #admits: (sequence: Sequence) => boolean;
  /** Who waited when the cache was opened; it was opened as wide as they could use. */
  readonly #first: ReadonlySet<Sequence>;
  /** Slots that may be taken: fewer once memory ran out. */
  #most: number;
  /** How many sat when there was no room for another: until one of them goes, there is none. */
  #full = Infinity;

  /** `waiting` may grow meanwhile; sequences leave it as they sit down, those that `admits` lets in. */
  constructor(
    trunk: Trunk,
    cache: Cache,
    waiting: Sequence[],
    admits: (sequence: Sequence) => boolean,
    budget: Budget,
  ) {
    this.trunk = trunk;
    this.cache = cache;
    this.seats = Array.from({ length: cache.slots }, () => null);
    this.#waiting = waiting;
    this.#budget = budget;
    this.#admits = admits;
    this.#first = new Set(waiting);
    this.#most = cache.slots;
  }

  /** Slots whose sequence has tokens left to be drawn. */
  get live(): number {
    return this.seats.filter(isLive).length;
  }

  /** Cancels whoever's asker says so, sitting or waiting. */
  heed(): void {
    for (const sequence of [...this.seats.flatMap((seat) => seat?.sequence ?? []), ...this.#waiting])
      if (sequence.finish === null && sequence.asker.cancelled?.()) sequence.cancel();
  }

  /**
   * Seats some of those who wait and computes their prompts; null when nobody can be seated, or too few to be worth it.
   * Sequences of one adapter are seated at a time: ask again.
   */
  fill(): Arrival | null {
    this.rest();
    const free = this.seats.flatMap((seat, slot) => (isSeated(seat) ? [] : [slot]));
    const room = Math.min(free.length, this.#most - (this.seats.length - free.length));
    const seated = this.seats.length - free.length;
    const guests = this.#guests().length;
    const enough = seated > 0 ? Math.min(guests, Math.ceil(this.seats.length / FILL_SHARE)) : 1;
    if (guests === 0 || room < enough || seated >= this.#full) return null;
    const next = this.#next(room);
    const fit = this.#roomFor(next);
    this.#waiting.unshift(...next.splice(fit));
    this.#full = fit < enough ? seated : Infinity;
    if (fit < enough) {
      this.#waiting.unshift(...next);
      return null;
    }
    try {
      return this.#seat(next, Int32Array.from(free.slice(0, next.length)));
    } catch (error) {
      if (!isOutOfMemory(error) || (seated === 0 && next.length === 1)) throw error;
      // With what is left, fewer at a time.
      this.#waiting.unshift(...next);
      this.#most = seated > 0 ? seated : next.length >> 1;
      return seated > 0 ? null : this.fill();
    }
  }

  /** Who waits and may sit here; nobody where they had better wait for a wider cache, as after a call of one sequence. */
  #guests(): readonly Sequence[] {
    const guests = this.#waiting.filter((sequence) => this.#fits(sequence));
    if (guests.length < WIDER * this.seats.length || guests.some((one) => this.#first.has(one))) return guests;
    const { slots } = planStage(guests.map(wantedBy), this.trunk, this.#budget);
    return slots < WIDER * this.seats.length ? guests : [];
  }

  #fits(sequence: Sequence): boolean {
    return sequence.finish === null && sequence.span <= this.cache.capacity && this.#admits(sequence);
  }

  /** Takes up to `room` of those who wait and may sit here, all of one adapter, and leaves the rest waiting. */
  #next(room: number): Sequence[] {
    const next: Sequence[] = [];
    for (const sequence of this.#waiting.splice(0)) {
      const { using } = sequence.asker;
      const length = Math.max(...[...next, sequence].map(({ order }) => order.promptIds.length));
      const fits =
        next.length < room &&
        this.#fits(sequence) &&
        (next.length === 0 || next[0].asker.using.adapter === using.adapter) &&
        (next.length === 0 || prefillFits(next.length + 1, length, this.trunk.config, this.#budget));
      if (fits) next.push(sequence);
      else this.#waiting.push(sequence);
    }
    return next;
  }

  /** How many of them, in this order, there is room for beside those who sit. */
  #roomFor(next: readonly Sequence[]): number {
    if (next.length === 0) return 0;
    return this.trunk.room?.(this.cache, next.map(wantedBy), next[0].asker.using) ?? next.length;
  }

  #seat(next: readonly Sequence[], slots: Int32Array): Arrival {
    const { trunk, cache } = this;
    const prompts = tokenBatch(next.map(({ order }) => order.promptIds));
    const some = slots.length < cache.slots ? slots : undefined;
    const spans = next.map(({ span }) => span);
    const hidden = trunk.prefill(cache, prompts, next[0].asker.using, some, spans);
    const seats = next.map((sequence): Seat => ({ sequence, drawn: 0 }));
    slots.forEach((slot, i) => (this.seats[slot] = seats[i]));
    return { slots, seats, hidden };
  }

  /** Once half the slots are done and nobody waits for one, they leave. Returns the slots that stay, or null where all do. */
  shrink(): Int32Array | null {
    const kept = this.seats.flatMap((seat, slot) => (isSeated(seat) ? [slot] : []));
    if (kept.length === 0 || kept.length > this.seats.length / 2) return null;
    if (this.#guests().length > 0) return null;
    this.cache.select(Int32Array.from(kept));
    this.seats = kept.map((slot) => this.seats[slot]);
    this.#most = this.seats.length;
    return Int32Array.from(kept);
  }

  /** Before a step: empties the slots with nothing left to draw. */
  rest(): void {
    this.seats.forEach((seat, slot) => {
      if (!isLive(seat)) this.cache.empty(slot);
    });
  }
}

export const wantedBy = ({ order, span }: Sequence): Wanted => ({ promptIds: order.promptIds, span });

const isSeated = (seat: Seat | null): seat is Seat => seat !== null && seat.sequence.finish === null;
const isLive = (seat: Seat | null): seat is Seat => isSeated(seat) && seat.drawn < seat.sequence.limit;
