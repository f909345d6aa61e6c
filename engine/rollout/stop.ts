/**
 * Text of one growing response with its stop strings. Text that could still turn into a stop string is held back, so a
 * reader who is shown every `push` never sees a part of one.
 */
import type { Tokenizer } from '../formats/tokenizer.ts';

export class ResponseText {
  /** Everything certain so far, held-back text included. */
  text = '';
  readonly #stream: ReturnType<Tokenizer['stream']>;
  readonly #stops: readonly string[];
  readonly #longest: number;
  #shown = 0;

  constructor(tokenizer: Tokenizer, stops: readonly string[]) {
    this.#stream = tokenizer.stream();
    this.#stops = stops;
    this.#longest = stops.reduce((longest, stop) => Math.max(longest, stop.length), 0);
  }

  /** Takes one more id; returns the text that may now be shown and whether a stop string is complete. */
  push(id: number): { fresh: string; stopped: boolean } {
    const before = this.text.length;
    this.text += this.#stream.push([id]);
    const from = Math.max(0, before - this.#longest + 1);
    const found = this.#stops.map((stop) => this.text.indexOf(stop, from)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.text = this.text.slice(0, Math.min(...found));
      return { fresh: this.#show(this.text.length), stopped: true };
    }
    return { fresh: this.#show(this.text.length - this.#unsure()), stopped: false };
  }

  /** The rest, when no more ids come. */
  end(): string {
    this.text += this.#stream.end();
    return this.#show(this.text.length);
  }

  #show(upTo: number): string {
    const fresh = this.text.slice(this.#shown, upTo);
    this.#shown = Math.max(this.#shown, upTo);
    return fresh;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #unsure(): number {
    for (let length = Math.min(this.#longest - 1, this.text.length); length > 0; length--) {
      const tail = this.text.slice(-length);
      if (this.#stops.some((stop) => stop.length > length && stop.startsWith(tail))) return length;
    }
    return 0;
  }
}
