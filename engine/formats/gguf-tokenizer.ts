/**
 * The tokenizer inside a GGUF file, written out as tokenizer.json and tokenizer_config.json so that one tokenizer serves
 * all. Two kinds: byte-level BPE ("gpt2": tokens and merges, split by one of a few known expressions) and SentencePiece
 * ("llama": tokens and scores, from which the merges follow).
 */
import { UserError } from '../errors.ts';
import type { GgufFile, GgufValue } from './gguf.ts';
import { show, type JsonObject } from './json.ts';
import type { TokenizerParts } from './tokenizer.ts';

/** llama.cpp's token types. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const UNUSED = 5;

/** Longer pieces come from no merge that text would use; the bound keeps splitting them cheap. */
const MERGED_MAX_CHARS = 128;

const split = (pattern: string): JsonObject => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const byteLevel = (useRegex: boolean): JsonObject => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: useRegex,
});
const sequence = (...pretokenizers: JsonObject[]): JsonObject => ({ type: 'Sequence', pretokenizers });

const WORDS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const REST = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

type Splitting = {
  readonly pre: JsonObject;
  readonly normalizer?: JsonObject;
  readonly ignoreMerges?: boolean;
  readonly addBos?: boolean;
};

const GPT2: Splitting = { pre: byteLevel(true) };
const LLAMA3: Splitting = {
  pre: sequence(split(`${WORDS}|\\p{N}{1,3}|${REST}`), byteLevel(false)),
  ignoreMerges: true,
  addBos: true,
};
const QWEN2: Splitting = {
  pre: sequence(split(`${WORDS}|\\p{N}|${REST}`), byteLevel(false)),
  normalizer: { type: 'NFC' },
};
const DIGITS: Splitting = { pre: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) };

/** How text is cut before merging, by tokenizer.ggml.pre. */
const SPLITTINGS: ReadonlyMap<string, Splitting> = new Map([
  ...(['default', 'gpt-2'] as const).map((name) => [name, GPT2] as const),
  ...(['llama-bpe', 'llama3', 'llama-v3'] as const).map((name) => [name, LLAMA3] as const),
  ...(['qwen2', 'deepseek-r1-qwen'] as const).map((name) => [name, QWEN2] as const),
  ...(['smollm', 'starcoder'] as const).map((name) => [name, DIGITS] as const),
]);

/** The metadata as the two files Hugging Face would keep; a UserError where the tokenizer is of a kind not known here. */
export function ggufTokenizer(file: GgufFile): Pick<TokenizerParts, 'tokenizer' | 'config'> {
  const model = file.metadata.get('tokenizer.ggml.model');
  const tokens = texts(file, 'tokenizer.ggml.tokens');
  const types = numbers(file, 'tokenizer.ggml.token_type', tokens.length);
  const added = tokens.flatMap((content, id) => addedToken(content, id, types?.[id]));
  const names = specialNames(file, tokens);
  const vocab = Object.fromEntries(
    tokens
      .map((token, id) => [token, id] as const)
      .filter(([, id]) => types?.[id] !== UNUSED)
      .toReversed(),
  );
  if (model !== 'gpt2' && model !== 'llama')
    throw new UserError(
      `${file.source.name}: tokenizers of kind ${show(model)} are not supported; add the model's tokenizer.json beside the file`,
    );
  const made = model === 'gpt2' ? bytePair(file, vocab) : sentencePiece(file, tokens, vocab, names);
  const prefix = made.addBos && names.bos_token !== undefined ? names.bos_token : null;
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      ...made.parts,
      post_processor: prefix === null ? null : prepend(prefix, vocab[prefix]),
    },
    config: {
      ...names,
      ...template(file),
      tokenizer_class: 'PreTrainedTokenizerFast',
      clean_up_tokenization_spaces: false,
    },
  };
}

type Made = { readonly parts: JsonObject; readonly addBos: boolean };

function bytePair(file: GgufFile, vocab: Readonly<Record<string, number>>): Made {
  const pre = file.metadata.get('tokenizer.ggml.pre') ?? 'default';
  const splitting = typeof pre === 'string' ? SPLITTINGS.get(pre) : undefined;
  if (splitting === undefined)
    throw new UserError(
      `${file.source.name}: the pre-tokenizer ${show(pre)} is not known here; add the model's tokenizer.json beside the file`,
    );
  const merges = texts(file, 'tokenizer.ggml.merges').map((merge) => {
    const space = merge.indexOf(' ', 1);
    if (space < 0) throw new UserError(`${file.source.name} is damaged: ${show(merge)} is not a merge of two pieces`);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  return {
    parts: {
      normalizer: splitting.normalizer ?? null,
      pre_tokenizer: splitting.pre,
      decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: splitting.ignoreMerges ?? false,
        vocab,
        merges,
      },
    },
    addBos: flag(file, 'tokenizer.ggml.add_bos_token', splitting.addBos ?? false),
  };
}

/**
 * SentencePiece's BPE joins the adjacent pair whose joined piece scores highest; as merges, that is every way to cut a
 * piece into two known ones, best score first.
 */
function sentencePiece(
  file: GgufFile,
  tokens: readonly string[],
  vocab: Readonly<Record<string, number>>,
  names: Names,
): Made {
  const scores = numbers(file, 'tokenizer.ggml.scores', tokens.length);
  if (scores === null)
    throw new UserError(
      `${file.source.name}: a SentencePiece tokenizer needs tokenizer.ggml.scores, which is not there; the file is damaged`,
    );
  const known = new Map(Object.entries(vocab));
  const found: { readonly score: number; readonly pair: readonly [string, string] }[] = [];
  for (const [token, id] of known) {
    const chars = Array.from(token);
    if (chars.length > MERGED_MAX_CHARS) continue;
    for (let cut = 1; cut < chars.length; cut++) {
      const pair = [chars.slice(0, cut).join(''), chars.slice(cut).join('')] as const;
      if (known.has(pair[0]) && known.has(pair[1])) found.push({ score: scores[id], pair });
    }
  }
  found.sort((a, b) => b.score - a.score);
  const space = flag(file, 'tokenizer.ggml.add_space_prefix', true);
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
  const toSpace = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
  return {
    parts: {
      normalizer: {
        type: 'Sequence',
        normalizers: [
          ...(space ? [{ type: 'Prepend', prepend: '▁' }] : []),
          { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
        ],
      },
      pre_tokenizer: null,
      decoder: {
        type: 'Sequence',
        decoders: [toSpace, { type: 'ByteFallback' }, { type: 'Fuse' }, ...(space ? [strip] : [])],
      },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: names.unk_token ?? null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        vocab,
        merges: found.map(({ pair }) => pair),
      },
    },
    addBos: flag(file, 'tokenizer.ggml.add_bos_token', true),
  };
}

function addedToken(content: string, id: number, type: number | undefined): JsonObject[] {
  if (content === '' || (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN)) return [];
  return [
    {
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: type !== USER_DEFINED,
    },
  ];
}

function prepend(token: string, id: number): JsonObject {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (name: string) => ({ Sequence: { id: name, type_id: name === 'A' ? 0 : 1 } });
  return {
    type: 'TemplateProcessing',
    single: [special, text('A')],
    pair: [special, text('A'), text('B')],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

type Names = {
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly unk_token?: string;
  readonly pad_token?: string;
};

function specialNames(file: GgufFile, tokens: readonly string[]): Names {
  const kinds = { bos_token: 'bos', eos_token: 'eos', unk_token: 'unknown', pad_token: 'padding' };
  const pairs = Object.entries(kinds).map(
    ([name, kind]) => [name, tokens[Number(file.metadata.get(`tokenizer.ggml.${kind}_token_id`) ?? -1)]] as const,
  );
  return Object.fromEntries(pairs.filter(([, token]) => token !== undefined));
}

function template(file: GgufFile): JsonObject {
  const source = file.metadata.get('tokenizer.chat_template');
  return typeof source === 'string' ? { chat_template: source } : {};
}

function texts(file: GgufFile, key: string): readonly string[] {
  const value = file.metadata.get(key);
  const sound = Array.isArray(value) && value.every((text: GgufValue) => typeof text === 'string');
  if (!sound) throw new UserError(`${file.source.name} has no ${key}; add the model's tokenizer.json beside the file`);
  return value as readonly string[];
}

function numbers(file: GgufFile, key: string, length: number): ArrayLike<number> | null {
  const value = file.metadata.get(key);
  if (value === undefined) return null;
  if (typeof value !== 'object' || value.length !== length || typeof value[0] === 'string')
    throw new UserError(`${file.source.name} is damaged: ${key} must list ${length} numbers`);
  return value as ArrayLike<number>;
}

function flag(file: GgufFile, key: string, fallback: boolean): boolean {
  const value = file.metadata.get(key);
  return typeof value === 'boolean' ? value : fallback;
}
