/**
 * A model's own tokenizer and chat template, from tokenizer.json and tokenizer_config.json (GGUF metadata is turned into
 * the same two first, gguf-tokenizer.ts). Ids in, text out and back; streaming never shows half a character. It knows no
 * model: which ids end a turn is told by whoever opens both.
 */
import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { UserError } from '../errors.ts';
import type { ChatMessage, FileOut } from '../protocol.ts';
import { compileChatTemplate, type ChatTemplate } from './chat-template.ts';
import { isObject, show, type JsonObject } from './json.ts';
import { alphabetOf, byteStream, pieceBytes, wholeStream, type TextStream } from './token-bytes.ts';
import { checkTokenizerJson } from './tokenizer-json.ts';

export type Tokenizer = {
  /** One more than the highest id. */
  readonly vocabSize: number;
  /** Ids that end a turn, the model's and the tokenizer's together. */
  readonly eosIds: readonly number[];
  readonly bosId: number | null;
  readonly padId: number | null;
  readonly hasChatTemplate: boolean;
  /** `addSpecial` adds what the tokenizer itself puts around a text (a begin token); false for rendered chats. */
  encode(text: string, options?: { readonly addSpecial?: boolean }): number[];
  /** Special tokens are left out unless `keepSpecial`. Ids without a token have no text. */
  decode(ids: readonly number[], options?: { readonly keepSpecial?: boolean }): string;
  /** A token's own text for display; part of a character shows as U+FFFD. */
  piece(id: number): string;
  /** The text of a conversation under the model's template; a UserError where it has none or refuses the messages. */
  renderChat(messages: readonly ChatMessage[], options?: { readonly addGenerationPrompt?: boolean }): string;
  /** renderChat, then encode without adding special tokens again. */
  encodeChat(messages: readonly ChatMessage[], options?: { readonly addGenerationPrompt?: boolean }): number[];
  /** Decodes as tokens arrive; joined, its pieces equal `decode`. */
  stream(): TextStream;
  /** tokenizer.json and tokenizer_config.json, for an exported model. */
  files(): FileOut[];
};

export type TokenizerParts = {
  readonly tokenizer: JsonObject;
  readonly config: JsonObject;
  /** chat_template.jinja, which newer folders keep beside tokenizer_config.json. */
  readonly template?: string;
  /** The model's end ids; the tokenizer's own eos_token is added. */
  readonly eosIds?: readonly number[];
  /** Rows of the embedding: ids at or beyond it are refused. */
  readonly vocab?: number;
};

const TEXT_MAX_CHARS = 8_000_000;

type Special = 'bos_token' | 'eos_token' | 'pad_token' | 'unk_token';

export function buildTokenizer(parts: TokenizerParts): Tokenizer {
  const json = checkTokenizerJson(parts.tokenizer);
  const specials = specialTexts(parts.config);
  const library = construct(json, specials);
  const idOf = (name: Special) => (specials[name] === undefined ? null : (library.token_to_id(specials[name]) ?? null));
  const eos = idOf('eos_token');
  const source = templateSource(parts);
  let template: ChatTemplate | null = null;
  const text = textOf(json, library);
  const encode: Tokenizer['encode'] = (input, options) =>
    encodeText(library, input, options?.addSpecial ?? true, idOf('unk_token'), parts.vocab);
  const renderChat: Tokenizer['renderChat'] = (messages, options) => {
    if (source === null) throw new UserError('The model has no chat template; give the prompt as plain text');
    template ??= compileChatTemplate(source, specials);
    return template(messages, options?.addGenerationPrompt ?? true);
  };
  return {
    vocabSize: text.vocabSize,
    eosIds: [...new Set([...(parts.eosIds ?? []), ...(eos === null ? [] : [eos])])],
    bosId: idOf('bos_token'),
    padId: idOf('pad_token'),
    hasChatTemplate: source !== null,
    encode,
    decode: text.decode,
    piece: text.piece,
    renderChat,
    encodeChat: (messages, options) => encode(renderChat(messages, options), { addSpecial: false }),
    stream: text.stream,
    files: () => tokenizerFiles(parts, source),
  };
}

function construct(json: JsonObject, specials: Readonly<Record<string, string>>): LibraryTokenizer {
  try {
    return new LibraryTokenizer(json, { ...specials, clean_up_tokenization_spaces: false });
  } catch (error) {
    throw new UserError(`tokenizer.json cannot be used: ${show((error as Error).message)}; download or copy it again`);
  }
}

/** bos_token and its kin are texts, or objects with a content. */
function specialTexts(config: JsonObject): Partial<Record<Special, string>> & Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token'] satisfies Special[]) {
    const value = config[name];
    const content = isObject(value) ? value['content'] : value;
    if (typeof content === 'string') found[name] = content;
  }
  return found;
}

/** A template, a list of named ones of which 'default' counts, or a file of its own. */
function templateSource({ config, template }: TokenizerParts): string | null {
  if (template !== undefined) return template;
  const value = config['chat_template'];
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const named = value.filter(isObject);
  const chosen = named.find((entry) => entry['name'] === 'default') ?? named[0];
  return typeof chosen?.['template'] === 'string' ? chosen['template'] : null;
}

/** Whether a folder's tokenizer files carry a chat template, without building the tokenizer. */
export function hasTemplate(config: JsonObject, template?: string): boolean {
  return templateSource({ tokenizer: {}, config, template }) !== null;
}

function encodeText(
  library: LibraryTokenizer,
  text: string,
  addSpecial: boolean,
  unknown: number | null,
  vocab = Infinity,
): number[] {
  if (text.length > TEXT_MAX_CHARS)
    throw new UserError(
      `A text of ${text.length} characters cannot be tokenised at once; shorten it to ${TEXT_MAX_CHARS}`,
    );
  const ids: (number | undefined)[] = library.encode(text, { add_special_tokens: addSpecial }).ids;
  return ids.map((found) => {
    const id = found ?? unknown;
    if (id === null)
      throw new UserError(`The tokenizer has no token for a part of the text and no unknown token: ${show(text)}`);
    if (id >= vocab)
      throw new UserError(
        `The tokenizer gives token ${id} and the model's vocabulary has ${vocab}; use the tokenizer that belongs to the model`,
      );
    return id;
  });
}

type Text = Pick<Tokenizer, 'vocabSize' | 'decode' | 'piece' | 'stream'>;

/** Decoding over a table of pieces; bytes are made once per token, on first use. */
function textOf(json: JsonObject, library: LibraryTokenizer): Text {
  const { alphabet, stripFirst } = alphabetOf(json['decoder']);
  const added = library.get_added_tokens_decoder();
  const skipped = new Set([...added.values()].filter((token) => token.special).map((token) => token.id));
  let vocabSize = 0;
  for (const id of library.get_vocab().values()) vocabSize = Math.max(vocabSize, id + 1);

  if (alphabet === 'whole') {
    const decode: Tokenizer['decode'] = (ids, options) => {
      const known = ids.filter(
        (id) => library.id_to_token(id) !== undefined && (options?.keepSpecial || !skipped.has(id)),
      );
      return known.length === 0 ? '' : library.decode(known);
    };
    return {
      vocabSize,
      decode,
      piece: (id) => library.id_to_token(id) ?? '',
      stream: () => wholeStream((ids) => decode(ids)),
    };
  }

  const table = new Map<number, Uint8Array | null>();
  const bytesOf = (id: number): Uint8Array | null => {
    let bytes = table.get(id);
    if (bytes === undefined) {
      const token = added.get(id);
      const piece = library.id_to_token(id);
      bytes = token
        ? new TextEncoder().encode(token.content)
        : piece === undefined
          ? null
          : pieceBytes(alphabet, piece);
      table.set(id, bytes);
    }
    return bytes;
  };
  const open = (keepSpecial: boolean) =>
    byteStream((id) => (!keepSpecial && skipped.has(id) ? null : bytesOf(id)), stripFirst);
  return {
    vocabSize,
    decode(ids, options) {
      const stream = open(options?.keepSpecial ?? false);
      return stream.push(ids) + stream.end();
    },
    piece: (id) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytesOf(id) ?? new Uint8Array(0)),
    stream: () => open(false),
  };
}

function tokenizerFiles(parts: TokenizerParts, source: string | null): FileOut[] {
  const encoder = new TextEncoder();
  const config = source === null ? parts.config : { ...parts.config, chat_template: source };
  return [
    { name: 'tokenizer.json', bytes: encoder.encode(JSON.stringify(parts.tokenizer)) },
    { name: 'tokenizer_config.json', bytes: encoder.encode(JSON.stringify(config, null, 2)) },
  ];
}
