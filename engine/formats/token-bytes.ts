/**
 * From ids back to text, one token at a time. Byte-level and SentencePiece vocabularies name bytes, so a character may be
 * spread over several tokens; `TextStream` holds an unfinished one back until it is whole. Vocabularies that name words
 * (no bytes in them) are decoded by their own decoder as a whole.
 */
import { isObject } from './json.ts';

export type TextStream = {
  /** Text that became certain with these ids; '' while a character is unfinished. */
  push(ids: readonly number[]): string;
  /** What is left at the end; a character cut short becomes U+FFFD. */
  end(): string;
};

export type Alphabet = 'byte-level' | 'sentencepiece' | 'whole';

/** How a tokenizer.json decoder turns pieces into text, and whether it drops the first space. */
export function alphabetOf(decoder: unknown): { readonly alphabet: Alphabet; readonly stripFirst: boolean } {
  const parts = flatten(decoder, 0);
  const types = parts.map((part) => part['type']);
  if (types.includes('ByteLevel')) return { alphabet: 'byte-level', stripFirst: false };
  const replaces = parts.filter((part) => part['type'] === 'Replace');
  const spaces = replaces.every(
    (part) => part['content'] === ' ' && isObject(part['pattern']) && part['pattern']['String'] === '▁',
  );
  if ((types.includes('ByteFallback') && spaces) || types.includes('Metaspace')) {
    return {
      alphabet: 'sentencepiece',
      stripFirst:
        types.includes('Metaspace') ||
        parts.some((part) => part['type'] === 'Strip' && part['content'] === ' ' && part['start'] === 1),
    };
  }
  return { alphabet: 'whole', stripFirst: false };
}

function flatten(decoder: unknown, depth: number): Readonly<Record<string, unknown>>[] {
  if (!isObject(decoder) || depth > 8) return [];
  const inner = decoder['decoders'];
  return decoder['type'] === 'Sequence' && Array.isArray(inner)
    ? inner.flatMap((part) => flatten(part, depth + 1))
    : [decoder];
}

const encoder = new TextEncoder();

/**
 * GPT-2's printable stand-ins for the 256 bytes: printable Latin-1 stands for itself, the rest for U+0100 onwards.
 * Source: Radford et al. 2019, published encoder.
 */
export const BYTE_CHARS: readonly string[] = (() => {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    return String.fromCodePoint(printable ? byte : next++);
  });
})();

const CHAR_BYTES: ReadonlyMap<string, number> = new Map(BYTE_CHARS.map((char, byte) => [char, byte]));

/** The bytes a piece stands for. Added tokens stand for their own text and are not passed through here. */
export function pieceBytes(alphabet: Exclude<Alphabet, 'whole'>, piece: string): Uint8Array {
  if (alphabet === 'byte-level') {
    const bytes = Array.from(piece, (char) => CHAR_BYTES.get(char));
    return bytes.includes(undefined) ? encoder.encode(piece) : Uint8Array.from(bytes as number[]);
  }
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece);
  return byte ? Uint8Array.of(parseInt(byte[1], 16)) : encoder.encode(piece.replaceAll('▁', ' '));
}

/** A stream over tokens that have bytes. `bytesOf` gives null for ids that have no text. */
export function byteStream(bytesOf: (id: number) => Uint8Array | null, stripFirst: boolean): TextStream {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let first = stripFirst;
  return {
    push(ids) {
      let text = '';
      for (const id of ids) {
        const bytes = bytesOf(id);
        if (bytes === null) continue;
        text += decoder.decode(first && bytes[0] === 0x20 ? bytes.subarray(1) : bytes, { stream: true });
        first = false;
      }
      return text;
    },
    end: () => decoder.decode(),
  };
}

/** A stream over a tokenizer that only decodes whole sequences: what is new is what the longer text adds. */
export function wholeStream(decode: (ids: readonly number[]) => string): TextStream {
  const all: number[] = [];
  let shown = '';
  const advance = (keepUnfinished: boolean) => {
    const text = decode(all);
    const whole = keepUnfinished ? text : text.replace(/\uFFFD+$/, '');
    if (!whole.startsWith(shown)) return '';
    const fresh = whole.slice(shown.length);
    shown = whole;
    return fresh;
  };
  return {
    push(ids) {
      all.push(...ids);
      return advance(false);
    },
    end: () => advance(true),
  };
}
