import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { fromBytes } from './bytes-source.ts';
import { openGguf } from './gguf.ts';
import { ggufFile, type TestPair } from './gguf-test-file.ts';
import { ggufTokenizer } from './gguf-tokenizer.ts';
import { FIXTURES, missing, MODELS, openPath } from './test-support.node.ts';
import { BYTE_CHARS } from './token-bytes.ts';
import { buildTokenizer, type Tokenizer } from './tokenizer.ts';

async function tokenizer(pairs: readonly TestPair[]): Promise<Tokenizer> {
  return buildTokenizer(ggufTokenizer(await openGguf(fromBytes('a.gguf', ggufFile(pairs, [])))));
}

const texts = (key: string, values: readonly string[]): TestPair => [`tokenizer.ggml.${key}`, 9, { of: 8, values }];
const ints = (key: string, values: readonly number[]): TestPair => [`tokenizer.ggml.${key}`, 9, { of: 5, values }];
const floats = (key: string, values: readonly number[]): TestPair => [`tokenizer.ggml.${key}`, 9, { of: 6, values }];

/** SentencePiece's BPE as it is defined: join the best-scoring adjacent pair, leftmost first, until none is left. */
function referencePieces(text: string, tokens: readonly string[], scores: readonly number[]): number[] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  let parts = Array.from(text.replaceAll(' ', '▁'));
  for (;;) {
    let best = -1;
    let bestScore = -Infinity;
    for (let i = 0; i + 1 < parts.length; i++) {
      const id = ids.get(parts[i] + parts[i + 1]);
      if (id !== undefined && scores[id] > bestScore) [best, bestScore] = [i, scores[id]];
    }
    if (best < 0) break;
    parts = [...parts.slice(0, best), parts[best] + parts[best + 1], ...parts.slice(best + 2)];
  }
  return parts.flatMap(
    (part) =>
      ids.get(part) ??
      [...new TextEncoder().encode(part)].map((byte) =>
        ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)!,
      ),
  );
}

/** llama2.c's tokenizer file: the longest length, then score, length and bytes of each token. */
function readStoriesVocabulary(path: string): { tokens: string[]; scores: number[] } {
  const bytes = readFileSync(path);
  const tokens: string[] = [];
  const scores: number[] = [];
  for (let at = 4; at < bytes.length;) {
    scores.push(bytes.readFloatLE(at));
    const length = bytes.readInt32LE(at + 4);
    tokens.push(bytes.toString('utf8', at + 8, at + 8 + length).replaceAll(' ', '▁'));
    at += 8 + length;
  }
  return {
    tokens: tokens.map((token, id) =>
      id >= 3 && id < 259
        ? `<0x${(id - 3).toString(16).toUpperCase().padStart(2, '0')}>`
        : (['<unk>', '<s>', '</s>'][id] ?? token),
    ),
    scores,
  };
}

const bpe = (pre: string, extra: readonly TestPair[] = []): TestPair[] => [
  ['tokenizer.ggml.model', 8, 'gpt2'],
  ['tokenizer.ggml.pre', 8, pre],
  texts('tokens', [...BYTE_CHARS, '12', '123', 'Ġa', '<|end|>', '<|x|>', '[PAD]']),
  ints('token_type', [...BYTE_CHARS.map(() => 1), 1, 1, 1, 3, 4, 5]),
  texts('merges', ['1 2', '12 3', 'Ġ a']),
  ['tokenizer.ggml.eos_token_id', 4, 259],
  ...extra,
];

describe('the tokenizer inside a GGUF file', () => {
  it('cuts text as its pre-tokenizer says', async () => {
    const one = BYTE_CHARS.indexOf('1');
    expect(await (await tokenizer(bpe('gpt-2'))).encode('123 a')).toEqual([257, 258]);
    expect(await (await tokenizer(bpe('llama-bpe'))).encode('123 a')).toEqual([257, 258]);
    expect(await (await tokenizer(bpe('qwen2'))).encode('123 a')).toEqual([one, one + 1, one + 2, 258]);
    expect(await (await tokenizer(bpe('smollm'))).encode('123 a')).toEqual([one, one + 1, one + 2, 258]);
    // Numerals of every script stand alone: with no merge across them, each is its own bytes.
    const arabic = (
      await tokenizer([
        ...bpe('smollm').slice(0, 2),
        texts('tokens', [...BYTE_CHARS, 'Ù£Ù¤', 'Ù£', 'Ù¤']),
        texts('merges', ['Ù £', 'Ù ¤', 'Ù£ Ù¤']),
      ])
    ).encode('٣٤');
    expect(arabic).toEqual([257, 258]);
  });

  it('keeps special tokens, drops unused ones and adds the begin token where the file says so', async () => {
    const made = await tokenizer(
      bpe('gpt-2', [
        ['tokenizer.ggml.bos_token_id', 4, 259],
        ['tokenizer.ggml.add_bos_token', 7, true],
      ]),
    );
    expect(made.encode('<|x|><|end|>')).toEqual([259, 260, 259]);
    expect(made.encode('<|x|>', { addSpecial: false })).toEqual([260]);
    expect(made.decode([260, 259])).toBe('<|x|>');
    expect(made.piece(261)).toBe('');
    expect(made.eosIds).toEqual([259]);
  });

  it.each<[string, TestPair[], string]>([
    ['an unknown kind', [['tokenizer.ggml.model', 8, 'bert'], texts('tokens', ['a'])], '"bert"'],
    ['an unknown pre-tokenizer', bpe('strange'), '"strange"'],
    ['no tokens', [['tokenizer.ggml.model', 8, 'gpt2']], 'tokenizer.ggml.tokens'],
    [
      'a merge of one piece',
      [['tokenizer.ggml.model', 8, 'gpt2'], texts('tokens', ['a']), texts('merges', ['ab'])],
      '"ab"',
    ],
    [
      'types of another length',
      [['tokenizer.ggml.model', 8, 'gpt2'], texts('tokens', ['a']), ints('token_type', [1, 1])],
      'must list 1',
    ],
    ['no scores', [['tokenizer.ggml.model', 8, 'llama'], texts('tokens', ['a'])], 'scores'],
  ])('refuses %s', async (_, pairs, words) => {
    await expect(tokenizer(pairs)).rejects.toThrow(UserError);
    await expect(tokenizer(pairs)).rejects.toThrow(words);
  });

  const stories = `${MODELS}/stories260K/tok512.bin`;
  it.skipIf(!existsSync(stories))('joins SentencePiece tokens by score, falling back to bytes', async () => {
    const { tokens, scores } = readStoriesVocabulary(stories);
    const types = tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1));
    const made = await tokenizer([
      ['tokenizer.ggml.model', 8, 'llama'],
      texts('tokens', tokens),
      floats('scores', scores),
      ints('token_type', types),
      ['tokenizer.ggml.bos_token_id', 4, 1],
      ['tokenizer.ggml.eos_token_id', 4, 2],
      ['tokenizer.ggml.unknown_token_id', 4, 0],
    ]);
    for (const text of [
      'Once upon a time, there was a little girl named Lily.',
      'They all loved the big red ball  in the park!',
      'Zürich 2024 – naïve €5',
      '😀',
    ]) {
      expect(made.encode(text, { addSpecial: false }), text).toEqual(referencePieces(` ${text}`, tokens, scores));
      expect(made.encode(text)[0]).toBe(1);
      expect(made.decode(made.encode(text))).toBe(text);
      const stream = made.stream();
      expect(
        made
          .encode(text)
          .map((id) => stream.push([id]))
          .join('') + stream.end(),
      ).toBe(text);
    }
  });

  const gguf = `${MODELS}/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf`;
  const lacking = missing(gguf, `${FIXTURES}/smollm2-135m-instruct.json`);
  it.skipIf(lacking)(`gives the same ids as the tokenizer.json beside it ${lacking ?? ''}`, async () => {
    const inside = buildTokenizer(ggufTokenizer(await openGguf(await openPath(gguf))));
    const folder = gguf.slice(0, gguf.lastIndexOf('/'));
    const json = (name: string) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')) as Record<string, unknown>;
    const beside = buildTokenizer({ tokenizer: json('tokenizer.json'), config: json('tokenizer_config.json') });
    const { cases } = JSON.parse(readFileSync(`${FIXTURES}/smollm2-135m-instruct.json`, 'utf8')) as {
      cases: { user: string; prompt_ids: number[] }[];
    };
    for (const { user, prompt_ids } of cases) {
      expect(inside.encodeChat([{ role: 'user', content: user }])).toEqual(prompt_ids);
      expect(beside.encodeChat([{ role: 'user', content: user }])).toEqual(prompt_ids);
    }
    for (const text of [
      'x = 12345.678;\n\n\tif (a != b) { return "ß→漢字"; }',
      "I'd say: they've 3rd-party   spaces \r\n",
      '<|im_start|>user<repo_name>',
    ]) {
      expect(inside.encode(text)).toEqual(beside.encode(text));
      expect(inside.decode(inside.encode(text), { keepSpecial: true })).toBe(text);
    }
    expect([inside.eosIds, inside.bosId, inside.padId, inside.vocabSize]).toEqual([
      beside.eosIds,
      beside.bosId,
      beside.padId,
      beside.vocabSize,
    ]);
  });
});
