/**
 * Equality of final answers in arithmetic and mathematics: 1 where the answer in a text is the gold value however it is
 * written (18, $18.00, 18 dollars, \boxed{18}, 36/2, \frac{36}{2}), else 0. Numbers are compared exactly, as fractions; what
 * is no number is compared as LaTeX after the spellings that mean the same are made one.
 */

/** 1 where the text's final answer equals one of the golds. */
export function numberMatch(text: string, golds: readonly string[]): number {
  return golds.some((gold) => matches(text, gold.trim())) ? 1 : 0;
}

/** A text's end holds its answer; a model may write without end. */
const maxText = 20_000;
const maxNumber = 200;

function matches(text: string, gold: string): boolean {
  const answer = markedAnswer(text.slice(-maxText));
  if (answer !== null) return sameValue(answer, gold);
  if (sameValue(text, gold)) return true;
  const last = rationalOf(gold) === null ? null : lastNumber(text.slice(-maxText));
  return last !== null && sameValue(last, gold);
}

/** What stands in the last \boxed{…}, after the last ####, or after "answer is"; null where nothing is marked. */
export function markedAnswer(text: string): string | null {
  const boxed = lastBoxed(text);
  if (boxed !== null) return boxed;
  const hashes = text.lastIndexOf('####');
  if (hashes >= 0) return firstLine(text.slice(hashes + 4));
  const said = [...text.matchAll(/\banswer(?: is|:)/giu)].at(-1);
  if (said === undefined) return null;
  const rest = firstLine(text.slice(said.index + said[0].length));
  return rationalOf(rest) === null ? (firstNumber(rest) ?? rest) : rest;
}

function firstLine(text: string): string {
  return text.trimStart().split('\n', 1)[0].trim();
}

/** The content of the last \boxed{…} or \fbox{…}, braces balanced; "\boxed 7" counts too. */
function lastBoxed(text: string): string | null {
  const found = [...text.matchAll(/\\(?:boxed|fbox)\b\s*/gu)].at(-1);
  if (found === undefined) return null;
  const start = found.index + found[0].length;
  if (text[start] !== '{') return text.slice(start).split(/[\s$]/u, 1)[0] || null;
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') depth += 1;
    else if (text[at] === '}' && --depth === 0) return text.slice(start + 1, at).trim();
  }
  return null;
}

/** Units written against the number; others need a space, or "3x" would be 3. */
const gluedUnit = '(?:cm|mm|km|kg|mg|ml|lbs?|oz|ft|mph|kph|am|pm|hrs?|mins?|secs?|st|nd|rd|th)';

/** A number of its own: not the 3 of 3x or of 3 \\pi. */
const numberInText = new RegExp(
  `(?<![\\w.)])-?\\p{Sc}?(?:\\d[\\d,]*(?:\\.\\d+)?|\\.\\d+)(?:\\s*/\\s*\\d+)?(?![\\d,.]*\\d|\\s*[\\\\^]|(?!${gluedUnit}\\b)\\p{L})`,
  'gu',
);

function lastNumber(text: string): string | null {
  return [...text.matchAll(numberInText)].at(-1)?.[0].replace(/,+$/u, '') ?? null;
}

function firstNumber(text: string): string | null {
  return text.match(numberInText)?.[0].replace(/,+$/u, '') ?? null;
}

function sameValue(a: string, b: string): boolean {
  const [left, right] = [rationalOf(a), rationalOf(b)];
  if (left !== null && right !== null) return left.over * right.under === right.over * left.under;
  const [one, other] = [spelling(a), spelling(b)];
  if (one === other) return one !== '';
  const [parts, others] = [tuple(one), tuple(other)];
  return (
    parts !== null &&
    others !== null &&
    parts.length === others.length &&
    one[0] === other[0] &&
    one.at(-1) === other.at(-1) &&
    parts.every((part, i) => sameValue(part, others[i]))
  );
}

/** The parts of (a,b), [a,b) …; null for anything else, so that a comparison ends after one level. */
function tuple(text: string): string[] | null {
  const inside = /^[([]([^()[\]]*,[^()[\]]*)[)\]]$/u.exec(text);
  return inside === null ? null : inside[1].split(',');
}

type Rational = { readonly over: bigint; readonly under: bigint };

const spacedUnit =
  '(?:\\s+(?!pi\\b)[\\p{L}]{2,}(?:[\\s./^²³0-9-]*(?!pi\\b)(?:[\\p{L}]{2,}|a)){0,6}[.²³]?(?:\\s*\\^\\s*\\{?[23]\\}?)?)';
const digits = '(?:\\d{1,3}(?:,\\d{3})+|\\d+)';
const decimal = `(?:${digits}(?:\\.\\d+)?|${digits}\\.|\\.\\d+)(?:[eE][+-]?\\d{1,2})?`;
const numberPattern = new RegExp(
  `^([+-]?)\\s*(?:(${digits})\\s+)?(?:(${decimal})(?:\\s*/\\s*(${decimal}))?)(?:\\s*${gluedUnit}|${spacedUnit})?$`,
  'u',
);

/** The text as an exact fraction; null where it is no single number. Currency, %, degrees and units are passed over. */
function rationalOf(text: string): Rational | null {
  if (text.length > maxNumber) return null;
  const plain = unwrapped(text)
    .replace(/\\frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))/gu, (_, a, b, c, d) => ` ${a ?? b}/${c ?? d}`)
    .replace(/([+-])\s+/gu, '$1')
    .trim();
  const found = numberPattern.exec(plain);
  if (found === null) return null;
  const [, sign, whole, over, under] = found;
  if (whole !== undefined && under === undefined) return null;
  const top = decimalOf(over);
  const bottom = under === undefined ? { over: 1n, under: 1n } : decimalOf(under);
  if (bottom.over === 0n) return null;
  const fraction = { over: top.over * bottom.under, under: top.under * bottom.over };
  const mixed =
    whole === undefined ? fraction.over : fraction.over + BigInt(whole.replaceAll(',', '')) * fraction.under;
  return { over: sign === '-' ? -mixed : mixed, under: fraction.under };
}

function decimalOf(text: string): Rational {
  const [mantissa, exponent] = text.replaceAll(',', '').toLowerCase().split('e');
  const [whole, part = ''] = mantissa.split('.');
  const power = Number(exponent ?? 0) - part.length;
  const all = BigInt(`${whole}${part}` || '0');
  return power >= 0 ? { over: all * 10n ** BigInt(power), under: 1n } : { over: all, under: 10n ** BigInt(-power) };
}

/** LaTeX and signs that change how a value looks and not what it is. */
function unwrapped(text: string): string {
  return text
    .replace(/[\u2212\u2013]/gu, '-')
    .replace(/\\(?:left|right|displaystyle|,|;|!|:| )/gu, (mark) => (mark === '\\!' || mark === '\\,' ? '' : ' '))
    .replace(/\{,\}/gu, ',')
    .replace(/\\(?:text|mathrm|mbox|textbf|mathbf)\s*\{([^{}]*)\}/gu, ' $1')
    .replace(/\\[dtc]frac/gu, '\\frac')
    .replace(/\^\s*(?:\\circ|\{\\circ\})|°|\\?%|\\[()[\]]|\\?\$|\p{Sc}|~/gu, '')
    .replace(/^\s*[a-z]\w?\s*=/iu, '')
    .replace(/\.\s*$/u, '')
    .trim();
}

function spelling(text: string): string {
  return unwrapped(text.slice(0, maxText))
    .replace(/\\frac\s*(\d)\s*(\d)/gu, '\\frac{$1}{$2}')
    .replace(/\\sqrt\s*(\d)/gu, '\\sqrt{$1}')
    .replace(/\s+/gu, '');
}
