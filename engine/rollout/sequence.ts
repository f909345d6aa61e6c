/**
 * One sequence in flight: what was asked and by whom, what came so far, and every reason for which it ends. Both decoding
 * loops feed it tokens; neither knows text.
 */
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { ForwardWeights } from '../model/trunk.ts';
import type { FinishReason, Generation, Sampling } from '../protocol.ts';
import type { Choice } from './sample.ts';
import { ResponseText } from './stop.ts';

export type Order = { readonly record: string; readonly promptIds: readonly number[]; readonly sampling: Sampling };

/** Who asked: what answers them, and how they are told. */
export type Asker = {
  readonly using: ForwardWeights;
  onToken?(record: string, ids: readonly number[], text: string): void;
  onFinished?(): void;
  cancelled?(): boolean;
};

export class Sequence {
  readonly order: Order;
  readonly asker: Asker;
  /** Tokens it may have: its own limit, or what the context leaves. */
  readonly limit: number;
  finish: FinishReason | null;
  readonly #atLimit: FinishReason;
  readonly #tokenizer: Tokenizer | null;
  readonly #response: ResponseText | null;
  readonly #ids: number[] = [];
  readonly #logprobs: number[] = [];
  readonly #entropy: number[] = [];

  constructor(order: Order, asker: Asker, contextLength: number, tokenizer: Tokenizer | null) {
    const room = Math.max(0, contextLength - order.promptIds.length);
    this.order = order;
    this.asker = asker;
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

  /** Positions it may come to need in a cache. */
  get span(): number {
    return this.order.promptIds.length + this.limit;
  }

  take(choice: Choice, ends: ReadonlySet<number>): void {
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
    this.asker.onToken?.(this.order.record, [choice.id], fresh);
    if (this.finish !== null) this.asker.onFinished?.();
  }

  /** Ends it where it stands; one that is over stays as it is. */
  cancel(): void {
    if (this.finish !== null) return;
    this.finish = 'cancelled';
    this.#response?.end();
    this.asker.onFinished?.();
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
