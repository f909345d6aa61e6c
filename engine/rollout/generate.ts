/**
 * Batched generation with a key-value cache. A rollout answers orders on one trunk until none is left; whoever asks while it
 * runs joins it, policies of one base side by side. Every token is a function of its own sequence and seed alone. It knows
 * tokens and text, no records or screens.
 */
import { isOutOfMemory } from '../device/out-of-memory.ts';
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { Cache, ForwardWeights, Trunk } from '../model/trunk.ts';
import type { Generation } from '../protocol.ts';
import { DEFAULT_BUDGET, planStage, type Budget } from './batches.ts';
import { decodeAhead, decodeInStep, drawnOnDevice } from './decode.ts';
import { Seats, wantedBy } from './seats.ts';
import { Sequence, type Asker, type Order } from './sequence.ts';

export type { Order } from './sequence.ts';

export type Speaker = {
  readonly trunk: Trunk;
  readonly using: ForwardWeights;
  /** null where the model has none: then responses have ids and no text. */
  readonly tokenizer: Tokenizer | null;
};

export type RolloutHooks = { readonly budget?: Budget; yieldToEvents?(): Promise<void> };

export type GenerateHooks = RolloutHooks &
  Pick<Asker, 'onToken' | 'cancelled'> & { onProgress?(done: number, total: number): void };

/**
 * Answers every order, in their order. Cancelled sequences come back with what they have and finish 'cancelled'; prompts
 * that leave no room in the context come back empty with finish 'context'.
 */
export async function generate(
  speaker: Speaker,
  orders: readonly Order[],
  hooks: GenerateHooks = {},
): Promise<Generation[]> {
  const rollout = new Rollout(speaker.trunk, speaker.tokenizer, hooks);
  const [answers] = await Promise.all([rollout.ask(orders, speaker.using, hooks), rollout.run()]);
  return answers;
}

/** Who has asked and is not answered yet. */
type Open = { reject(error: unknown): void };

export class Rollout {
  readonly #trunk: Trunk;
  readonly #tokenizer: Tokenizer | null;
  readonly #hooks: RolloutHooks;
  readonly #ends: ReadonlySet<number>;
  readonly #waiting: Sequence[] = [];
  readonly #open = new Set<Open>();

  constructor(trunk: Trunk, tokenizer: Tokenizer | null, hooks: RolloutHooks) {
    this.#trunk = trunk;
    this.#tokenizer = tokenizer;
    this.#hooks = hooks;
    this.#ends = new Set([...trunk.config.eosIds, ...(tokenizer?.eosIds ?? [])]);
  }

  get busy(): boolean {
    return this.#waiting.length > 0;
  }

  /** Takes orders on. They are answered when the last of them has ended, while the rollout runs. */
  ask(
    orders: readonly Order[],
    using: ForwardWeights,
    hooks: Omit<GenerateHooks, keyof RolloutHooks> = {},
  ): Promise<Generation[]> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const count = (): void => {
        done++;
        hooks.onProgress?.(done, orders.length);
        if (done === orders.length) answer();
      };
      const asker: Asker = { ...hooks, using, onFinished: count };
      const { contextLength } = this.#trunk.config;
      const sequences = orders.map((order) => new Sequence(order, asker, contextLength, this.#tokenizer));
      const open: Open = { reject };
      const answer = (): void => {
        this.#open.delete(open);
        resolve(sequences.map((sequence) => sequence.result()));
      };
      const begun = sequences.filter(({ finish }) => finish === null);
      done = sequences.length - begun.length;
      if (begun.length === 0) return answer();
      this.#open.add(open);
      // Neighbours of like length pad each other little.
      this.#waiting.push(...begun.sort((a, b) => a.order.promptIds.length - b.order.promptIds.length));
    });
  }

  /** Until nobody waits. What fails is told to all who asked. */
  async run(): Promise<void> {
    try {
      // Orders sent along with the first arrive before it begins.
      await this.#hooks.yieldToEvents?.();
      for (;;) {
        for (const sequence of this.#waiting) if (sequence.asker.cancelled?.()) sequence.cancel();
        const open = this.#waiting.splice(0).filter(({ finish }) => finish === null);
        this.#waiting.push(...open);
        if (open.length === 0) return;
        await this.#runStage(open[0]);
      }
    } catch (error) {
      this.#waiting.length = 0;
      for (const { reject } of this.#open) reject(error);
      this.#open.clear();
    }
  }

  /** One cache, and those who can sit in it with the first of those who wait. */
  async #runStage(first: Sequence): Promise<void> {
    const onDevice = drawnOnDevice(this.#trunk, first);
    const admits = (sequence: Sequence): boolean =>
      drawnOnDevice(this.#trunk, sequence) === onDevice &&
      sitTogether(this.#trunk, first.asker.using, sequence.asker.using);
    const guests = this.#waiting.filter(admits);
    const budget = forKeys(this.#hooks.budget ?? DEFAULT_BUDGET, this.#trunk.keyBytes(first.asker.using));
    const cache = this.#openCache(guests, budget);
    try {
      await this.#trunk.tune?.(first.asker.using, cache.slots);
      const seats = new Seats(this.#trunk, cache, this.#waiting, admits, budget);
      const decoding = { seats, weights: first.asker.using.weights, ends: this.#ends, ...this.#hooks };
      await (onDevice ? decodeAhead(decoding) : decodeInStep(decoding));
    } finally {
      cache.dispose();
    }
  }

  /** With as many slots, and pages, as the budget and the memory there is allow. */
  #openCache(guests: readonly Sequence[], budget: Budget): Cache {
    const voices = [...new Set(guests.map(({ asker }) => asker.using))];
    const { slots, capacity, positions } = planStage(guests.map(wantedBy), this.#trunk, budget);
    for (let part = 1; ; part *= 2) {
      const wanted = Math.floor(slots / part);
      try {
        return this.#trunk.openCache(wanted, capacity, voices, Math.max(capacity, positions / part));
      } catch (error) {
        if (!isOutOfMemory(error) || wanted === 1) throw error;
      }
    }
  }
}

/** Budgets are of float32 keys. */
const forKeys = (budget: Budget, bytes: number): Budget => ({ ...budget, cacheBytes: (budget.cacheBytes * 4) / bytes });

/** Whether sequences that run with `b` may share a cache with one that runs with `a`. */
function sitTogether(trunk: Trunk, a: ForwardWeights, b: ForwardWeights): boolean {
  const alike = (['weights', 'rollout', 'keys', 'activations'] as const).every((part) => a[part] === b[part]);
  return alike && (trunk.mixes || a.adapter === b.adapter);
}
