import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { filesAt } from './folder.node.ts';
import { openModel } from './model-files.ts';
import { FIXTURES, missing, MODELS } from './test-support.node.ts';
import { BYTE_CHARS } from './token-bytes.ts';
import { checkPattern } from './tokenizer-json.ts';
import { buildTokenizer } from './tokenizer.ts';

type Cases = {
  readonly cases: readonly {
    readonly user: string;
    readonly prompt_text: string;
    readonly prompt_ids: number[];
    readonly greedy_ids: number[];
    readonly greedy_text: string;
  }[];
};

/** Bytes, a few merges, two special tokens: 256 + 3 + 2. */
const vocab: Record<string, number> = Object.fromEntries(
  [...BYTE_CHARS, 'he', 'll', 'hell'].map((piece, id) => [piece, id]),
);
const special = (id: number, content: string) => ({ id, content, special: true });
const JSON_BPE = {
  added_tokens: [special(259, '<end>'), special(260, '<begin>')],
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  decoder: { type: 'ByteLevel' },
  model: { type: 'BPE', vocab, merges: ['h e', 'l l', 'he ll'] },
};
const CONFIG = {
  bos_token: '<begin>',
  eos_token: { content: '<end>' },
  chat_template: '{% for m in messages %}{{ m.content }}<end>{% endfor %}',
};
const small = () => buildTokenizer({ tokenizer: JSON_BPE, config: CONFIG, eosIds: [5] });

describe('tokenizer', () => {
  it('encodes, decodes and knows its special tokens', () => {
    const made = small();
    expect(made.encode('hello<end>')).toEqual([258, vocab['o'], 259]);
    expect(made.decode([258, vocab['o'], 259])).toBe('hello');
    expect(made.decode([258, 259], { keepSpecial: true })).toBe('hell<end>');
    expect(made.decode([])).toBe('');
    expect([made.piece(258), made.piece(259), made.piece(999)]).toEqual(['hell', '<end>', '']);
    expect(made).toMatchObject({ eosIds: [5, 259], bosId: 260, padId: null, vocabSize: 261, hasChatTemplate: true });
    expect(made.renderChat([{ role: 'user', content: 'hell' }])).toBe('hell<end>');
    expect(made.encodeChat([{ role: 'user', content: 'hell' }])).toEqual([258, 259]);
  });

  it('gives back any text', () => {
    const made = small();
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(made.decode(made.encode(text), { keepSpecial: true })).toBe(text);
      }),
    );
  });

  it('never streams half a character, and streams all of it', () => {
    const made = small();
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const stream = made.stream();
        const parts = made.encode(text).map((id) => stream.push([id]));
        expect(parts.every((part) => !part.includes('\uFFFD') || text.includes('\uFFFD'))).toBe(true);
        expect(parts.join('') + stream.end()).toBe(text);
      }),
    );
    const cut = made.stream();
    expect(cut.push(made.encode('é').slice(0, 1))).toBe('');
    expect(cut.end()).toBe('\uFFFD');
  });

  it('decodes a vocabulary of whole words', () => {
    const words = {
      added_tokens: [],
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', vocab: { unk: 0, Mira: 1, lives: 2 }, unk_token: 'unk' },
    };
    const made = buildTokenizer({ tokenizer: words, config: { unk_token: 'unk' } });
    expect(made.encode('Mira lives alone')).toEqual([1, 2, 0]);
    expect(made.decode([1, 2])).toBe('Mira lives');
    const stream = made.stream();
    expect([stream.push([1]), stream.push([2]), stream.end()]).toEqual(['Mira', ' lives', '']);
  });

  it('says when text and model do not belong together', () => {
    expect(() => buildTokenizer({ tokenizer: JSON_BPE, config: {}, vocab: 200 }).encode('hello')).toThrow(
      'vocabulary has 200',
    );
    expect(() =>
      buildTokenizer({ tokenizer: { ...JSON_BPE, model: { type: 'WordLevel', vocab: { a: 0 } } }, config: {} }).encode(
        'b',
      ),
    ).toThrow('no token');
    expect(() => buildTokenizer({ tokenizer: JSON_BPE, config: {} }).renderChat([])).toThrow('no chat template');
    expect(() => small().encode('x'.repeat(8_000_001))).toThrow(UserError);
  });

  it.each<[string, Record<string, unknown>]>([
    ['no model', { model: undefined }],
    ['an unknown model', { model: { type: 'Magic', vocab: {} } }],
    ['an id that would fill memory', { model: { type: 'BPE', vocab: { a: 4e9 }, merges: [] } }],
    ['a negative id', { model: { type: 'BPE', vocab: { a: -1 }, merges: [] } }],
    ['merges of one piece', { model: { type: 'BPE', vocab, merges: ['he'] } }],
    ['merges of two kinds', { model: { type: 'BPE', vocab, merges: ['h e', ['l', 'l']] } }],
    ['an added token without text', { added_tokens: [{ id: 1, content: '' }] }],
    ['an added id that would fill memory', { added_tokens: [{ id: 4e9, content: 'x' }] }],
    ['an unknown decoder', { decoder: { type: 'Magic' } }],
    [
      'an exponential expression',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false } },
    ],
    [
      'an expression that is none',
      { pre_tokenizer: { type: 'Split', pattern: { Regex: '(((' }, behavior: 'Isolated', invert: false } },
    ],
  ])('refuses %s', (_, change) => {
    expect(() => buildTokenizer({ tokenizer: { ...JSON_BPE, ...change }, config: {} })).toThrow(UserError);
  });

  it('answers any change of a part with a tokenizer or a sentence', () => {
    const parts = fc.constantFrom('added_tokens', 'normalizer', 'pre_tokenizer', 'post_processor', 'decoder', 'model');
    fc.assert(
      fc.property(parts, fc.jsonValue(), (part, value) => {
        try {
          buildTokenizer({ tokenizer: { ...JSON_BPE, [part]: value }, config: CONFIG });
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('expressions from a file', () => {
  it.each(['(a+)+', '(?:a|aa)+b', '((a*)b?)*', '(\\w+\\s?){5,}', '(?i:(x|y)*)+'])('refuses %s', (pattern) => {
    expect(() => checkPattern(pattern)).toThrow(UserError);
  });

  it.each([
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}\\p{Lm}]+(?i:'s|'t|'re)?|\\p{N}{1,3}",
    '\\d{1,3}(?=(?:\\d{3})*\\b)',
    '[(]+|\\(+',
  ])('takes %s', (pattern) => {
    expect(() => checkPattern(pattern)).not.toThrow();
  });
});

for (const model of ['smollm2-135m-instruct', 'minimind2-small']) {
  const lacking = missing(`${FIXTURES}/${model}.json`, `${MODELS}/${model}`);
  it.skipIf(lacking)(`${model} tokenises its golden prompts ${lacking ?? ''}`, async () => {
    const { cases } = JSON.parse(readFileSync(`${FIXTURES}/${model}.json`, 'utf8')) as Cases;
    const tokenizer = await (await openModel(await filesAt(`${MODELS}/${model}`))).tokenizer();
    for (const { user, prompt_text, prompt_ids, greedy_ids, greedy_text } of cases) {
      expect(tokenizer.renderChat([{ role: 'user', content: user }])).toBe(prompt_text);
      expect(tokenizer.encodeChat([{ role: 'user', content: user }])).toEqual(prompt_ids);
      expect(tokenizer.decode(greedy_ids, { keepSpecial: true })).toBe(greedy_text);
    }
  });
}
