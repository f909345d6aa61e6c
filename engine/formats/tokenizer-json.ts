/**
 * Checks a tokenizer.json before the tokenizer library sees it: sizes, ids, merges and regular expressions. The library
 * trusts its input, and a hostile vocabulary id or expression would otherwise cost gigabytes or minutes.
 */
import { UserError } from '../errors.ts';
import { isObject, show, type JsonObject } from './json.ts';

const TOKEN_ID_LIMIT = 4_000_000;
const FILE = 'tokenizer.json';
const ADDED_MAX = 100_000;
const PATTERN_MAX_CHARS = 5_000;
const DEPTH_MAX = 32;
const MODELS = ['BPE', 'Unigram', 'WordLevel', 'WordPiece'];

/** The parts the library needs, all present; throws a UserError for anything it could trip over. */
export function checkTokenizerJson(json: JsonObject): JsonObject {
  const model = json['model'];
  if (!isObject(model)) throw new UserError(`${FILE} has no model; download or copy it again`);
  const checked = checkModel(model);
  const parts = {
    normalizer: json['normalizer'] ?? null,
    pre_tokenizer: json['pre_tokenizer'] ?? null,
    post_processor: json['post_processor'] ?? null,
    decoder: json['decoder'] ?? null,
  };
  for (const part of Object.values(parts)) checkPatterns(part, 0);
  return {
    ...parts,
    pre_tokenizer: splitNumerals(parts.pre_tokenizer),
    model: checked,
    added_tokens: checkAdded(json['added_tokens'] ?? []),
  };
}

/**
 * The Digits pre-tokenizer splits off every numeral of Unicode; the JavaScript library knows only 0 to 9 for it, so it gets
 * the same thing as an expression.
 */
function splitNumerals(part: unknown): unknown {
  if (!isObject(part)) return part;
  if (part['type'] === 'Digits')
    return {
      type: 'Split',
      pattern: { Regex: part['individual_digits'] === true ? '\\p{N}' : '\\p{N}+' },
      behavior: 'Isolated',
      invert: false,
    };
  const inner = part['pretokenizers'];
  return Array.isArray(inner) ? { ...part, pretokenizers: inner.map(splitNumerals) } : part;
}

/** Older files leave the type out; what is there tells it. */
function checkModel(model: JsonObject): JsonObject {
  const vocab = model['vocab'];
  const type = model['type'] ?? (Array.isArray(vocab) ? 'Unigram' : 'merges' in model ? 'BPE' : 'WordLevel');
  if (typeof type !== 'string' || !MODELS.includes(type))
    throw new UserError(`${FILE}: tokenizers of type ${show(type)} are not supported; ${MODELS.join(', ')} are`);
  if (type === 'Unigram') checkUnigram(vocab);
  else checkVocab(vocab);
  if (type === 'BPE') checkMerges(model['merges']);
  return { ...model, type };
}

function checkVocab(vocab: unknown): void {
  if (!isObject(vocab)) throw new UserError(`${FILE}: the vocabulary must be an object, not ${show(vocab)}`);
  const ids = Object.values(vocab);
  const size = ids.length;
  // A few holes are usual; an id far beyond the count is damage.
  const limit = Math.min(TOKEN_ID_LIMIT, 2 * size + 65_536);
  for (const id of ids) checkId(id, limit);
}

function checkId(id: unknown, limit: number): asserts id is number {
  if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= limit)
    throw new UserError(
      `${FILE}: token ids must be whole numbers below ${limit}, not ${show(id)}; the file is damaged`,
    );
}

function checkUnigram(vocab: unknown): void {
  const sound =
    Array.isArray(vocab) &&
    vocab.length < TOKEN_ID_LIMIT &&
    vocab.every(
      (entry) =>
        Array.isArray(entry) && entry.length === 2 && typeof entry[0] === 'string' && typeof entry[1] === 'number',
    );
  if (!sound) throw new UserError(`${FILE}: a Unigram vocabulary must list [piece, score] pairs, not ${show(vocab)}`);
}

function checkMerges(merges: unknown): void {
  const sound =
    Array.isArray(merges) &&
    merges.length <= TOKEN_ID_LIMIT &&
    merges.every((merge) =>
      typeof merge === 'string'
        ? merge.includes(' ', 1)
        : Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string'),
    );
  const mixed = Array.isArray(merges) && merges.some((merge) => typeof merge !== typeof merges[0]);
  if (!sound || mixed) throw new UserError(`${FILE}: merges must be pairs of pieces; the file is damaged`);
}

function checkAdded(added: unknown): readonly JsonObject[] {
  if (!Array.isArray(added) || added.length > ADDED_MAX)
    throw new UserError(`${FILE}: added_tokens must be a list of at most ${ADDED_MAX} tokens, not ${show(added)}`);
  return added.map((token: unknown) => {
    if (
      !isObject(token) ||
      typeof token['content'] !== 'string' ||
      token['content'].length === 0 ||
      token['content'].length > 1000
    )
      throw new UserError(`${FILE}: an added token needs a text of 1 to 1000 characters: ${show(token)}`);
    checkId(token['id'], TOKEN_ID_LIMIT);
    return token;
  });
}

function checkPatterns(part: unknown, depth: number): void {
  if (depth > DEPTH_MAX) throw new UserError(`${FILE} is nested deeper than ${DEPTH_MAX} levels; the file is damaged`);
  if (Array.isArray(part)) for (const inner of part) checkPatterns(inner, depth + 1);
  if (!isObject(part)) return;
  for (const [key, value] of Object.entries(part)) {
    if (key === 'Regex') checkPattern(value);
    else checkPatterns(value, depth + 1);
  }
}

/**
 * Refuses expressions that can take exponential time: a group repeated without bound that itself repeats or chooses.
 * No published tokenizer of the supported families has one.
 */
export function checkPattern(pattern: unknown): void {
  if (typeof pattern !== 'string' || pattern.length > PATTERN_MAX_CHARS)
    throw new UserError(
      `${FILE}: an expression must be a text of at most ${PATTERN_MAX_CHARS} characters, not ${show(pattern)}`,
    );
  const plain = pattern.replace(/\\./gs, 'x').replace(/\[[^\]]*\]/g, 'x');
  // Innermost groups first; each becomes a letter that remembers whether it was ambiguous.
  let rest = plain;
  for (;;) {
    const group = /\((?:\?(?:[:=!]|<[=!]|[a-z-]*:))?([^()]*)\)([*+]|\{\d*,\d*\})?/.exec(rest);
    if (group === null) return;
    const [all, body, repeat] = group;
    const ambiguous = /[*+|?V]|\{\d*,/.test(body);
    const unbounded = repeat !== undefined && !/^\{\d*,\d{1,2}\}$/.test(repeat);
    if (ambiguous && unbounded)
      throw new UserError(
        `${FILE}: the expression ${show(pattern)} could take exponential time and is not run; the file is damaged or hostile`,
      );
    rest =
      rest.slice(0, group.index) +
      (ambiguous || repeat !== undefined ? 'V' : 'x') +
      rest.slice(group.index + all.length);
  }
}
