/**
 * One sequence in flight: what was asked, what came so far, and every reason for which it ends. Both decoding loops feed
 * it tokens; neither knows text.
 */
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { FinishReason, Generation, Sampling } from '../protocol.ts';
import type { Choice } from './sample.ts';
import { ResponseText } from './stop.ts';

export type Order = { readonly record: string; readonly promptIds: readonly number[]; readonly sampling: Sampling };

export type OnToken = (record: string, ids: readonly number[], text: string) => void;

export class Sequence {
  readonly order: Order;
  /** Tokens it may have: its own limit, or what the context leaves. */
  readonly limit: number;
  finish: FinishReason | null;
  readonly #atLimit: FinishReason;
  readonly #tokenizer: Tokenizer | null;
  readonly #response: ResponseText | null;
  readonly #ids: number[] = [];
  readonly #logprobs: number[] = [];
  readonly #entropy: number[] = [];

  constructor(order: Order, contextLength: number, tokenizer: Tokenizer | null) {
    const room = Math.max(0, contextLength - order.promptIds.length);
    this.order = order;
    this.limit = Math.min(order.sampling.maxTokens, room);
    this.finish = room === 0 ? 'context' : null;
    this.#atLimit = order.sampling.maxTokens <= room ? 'length' : 'context';
    this.#tokenizer = tokenizer;
    this.#response = tokenizer ? new ResponseText(tokenizer, order.sampling.stop) : null;
  }

  get tokens(): number {
    return this.#ids.length;
  }

  get lastId(): number {
    return this.#ids[this.#ids.length - 1];
  }

  /** The place of the next token, prompt included. */
  get position(): number {
    return this.order.promptIds.length + this.#ids.length;
  }

  take(choice: Choice, ends: ReadonlySet<number>, onToken?: OnToken): void {
    this.#ids.push(choice.id);
    this.#logprobs.push(choice.logprob);
    this.#entropy.push(choice.entropy);
    let fresh = '';
    if (ends.has(choice.id)) this.finish = 'stop';
    else if (this.#response) {
      const pushed = this.#response.push(choice.id);
      fresh = pushed.fresh;
      if (pushed.stopped) this.finish = 'stop-string';
    }
    if (this.finish === null && this.#ids.length >= this.limit) this.finish = this.#atLimit;
    if (this.finish !== null && this.finish !== 'stop-string') fresh += this.#response?.end() ?? '';
    onToken?.(this.order.record, [choice.id], fresh);
  }

  /** Ends it where it stands; one that is over stays as it is. */
  cancel(): void {
    if (this.finish !== null) return;
    this.finish = 'cancelled';
    this.#response?.end();
  }

  result(): Generation {
    return {
      record: this.order.record,
      promptIds: this.order.promptIds,
      ids: this.#ids,
      pieces: this.#ids.map((id) => this.#tokenizer?.piece(id) ?? ''),
      text: this.#response?.text ?? '',
      logprobs: this.#logprobs,
      entropy: this.#entropy,
      finish: this.finish ?? 'cancelled',
    };
  }
}

/**
 * Finished slots cost as much as live ones, so they leave once half the batch is done, or when one would overflow its
 * cache. Returns the slots that stay, or null to go on as it is.
 */
export function slotsToKeep(active: readonly Sequence[], lengths: Int32Array, capacity: number): Int32Array | null {
  const live = active.flatMap((sequence, slot) => (sequence.finish === null ? [slot] : []));
  if (live.length === active.length) return null;
  const overflow = lengths.some((length) => length >= capacity);
  return live.length > active.length / 2 && !overflow ? null : Int32Array.from(live);
}
