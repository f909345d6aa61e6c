/** Stop strings across token borders, held-back text, and settings that make no sense. */
import { describe, expect, it } from 'vitest';
import type { Tokenizer } from '../formats/tokenizer.ts';
import type { Sampling } from '../protocol.ts';
import { checkSampling } from './sample.ts';
import { ResponseText } from './stop.ts';

/** A tokenizer whose ids are positions in a list of pieces. */
const speaking = (pieces: readonly string[]): Tokenizer =>
  ({
    stream: () => ({ push: (ids: readonly number[]) => ids.map((id) => pieces[id]).join(''), end: () => '' }),
  }) as unknown as Tokenizer;

function run(
  pieces: readonly string[],
  stops: readonly string[],
): { shown: string[]; text: string; stoppedAt: number } {
  const response = new ResponseText(speaking(pieces), stops);
  const shown: string[] = [];
  for (let id = 0; id < pieces.length; id++) {
    const { fresh, stopped } = response.push(id);
    shown.push(fresh);
    if (stopped) return { shown, text: response.text, stoppedAt: id };
  }
  shown.push(response.end());
  return { shown, text: response.text, stoppedAt: -1 };
}

describe('ResponseText', () => {
  it('finds a stop string spread over three tokens and never shows a part of it', () => {
    const { shown, text, stoppedAt } = run(['ab', 'c</', 'ans', 'wer>', 'x'], ['</answer>']);
    expect(stoppedAt).toBe(3);
    expect(text).toBe('abc');
    expect(shown.join('')).toBe('abc');
  });

  it('shows text that only looked like a stop string', () => {
    const { shown, text, stoppedAt } = run(['a<', '/b', 'c'], ['</a>']);
    expect(stoppedAt).toBe(-1);
    expect(text).toBe('a</bc');
    expect(shown.join('')).toBe('a</bc');
  });

  it('cuts before the earliest of several stop strings in one token', () => {
    expect(run(['one two three'], ['three', 'two']).text).toBe('one ');
  });
});

describe('checkSampling', () => {
  const good: Sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 8, stop: [], seed: 1 };
  it.each([
    [{ temperature: -1 }, /temperature is -1/],
    [{ temperature: Number.NaN }, /temperature is NaN/],
    [{ topK: 1.5 }, /topK is 1.5/],
    [{ topP: 0 }, /topP is 0/],
    [{ minP: 1 }, /minP is 1/],
    [{ maxTokens: 0 }, /maxTokens is 0/],
    [{ seed: 0.5 }, /seed is 0.5/],
    [{ stop: [''] }, /stop is/],
  ])('refuses %j', (change, sentence) => {
    expect(() => checkSampling({ ...good, ...change })).toThrow(sentence);
  });
  it('accepts greedy sampling', () => expect(() => checkSampling({ ...good, temperature: 0 })).not.toThrow());
});
