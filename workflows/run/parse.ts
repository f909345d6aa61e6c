/**
 * How a role's text becomes values, and whether the text is legal. An illegal text never stops the flow: a fallback always
 * yields values, and the format term of the rewards says what it costs. Knows nothing of prompts, models or graphs.
 */
import type { FinishReason } from '../../engine/protocol.ts';
import type { Values } from '../schema/value.ts';
import type { Parser, PortType } from '../schema/workflow.ts';

export type Parsed = { values: Values; legal: boolean; problem?: string };

/** The type of the port a parser writes. */
export function parsedType(parser: Parser): PortType {
  return parser.kind === 'tags' && parser.max > 1 ? 'list' : 'text';
}

/**
 * Parses what a model said. `stop` are the role's stop strings: the sampler cuts the text before them, so a closing tag
 * among them counts as written. Never throws, whatever the text.
 */
export function parseText(parser: Parser, text: string, finish: FinishReason, stop: readonly string[] = []): Parsed {
  const whole =
    parser.kind === 'tags' && finish === 'stop-string' && stop.includes(`</${parser.tag}>`) && opens(text, parser.tag)
      ? `${text}</${parser.tag}>`
      : text;
  const parsed = parser.kind === 'tags' ? parseTags(parser, whole) : parsePlain(parser, whole);
  const unfinished = finishProblem(finish);
  if (unfinished === undefined) return parsed;
  return { values: parsed.values, legal: false, problem: unfinished };
}

function finishProblem(finish: FinishReason): string | undefined {
  switch (finish) {
    case 'stop':
      return undefined;
    case 'stop-string':
      return undefined;
    case 'length':
      return 'not finished within the allowed tokens';
    case 'context':
      return 'not finished within the context';
    case 'cancelled':
      return 'cancelled';
    default:
      return finish satisfies never;
  }
}

function parsePlain(parser: Extract<Parser, { kind: 'text' }>, text: string): Parsed {
  const value = text.trim();
  const values = { [parser.port]: cut(value, parser.maxChars) };
  if (value === '') return { values, legal: false, problem: 'empty' };
  if (value.length > parser.maxChars)
    return { values, legal: false, problem: `longer than ${parser.maxChars} characters` };
  return { values, legal: true };
}

function parseTags(parser: Extract<Parser, { kind: 'tags' }>, text: string): Parsed {
  const scan = scanTags(text, parser.tag);
  const problem = tagProblem(parser, scan);
  const usable = scan.values.filter((value) => value !== '').map((value) => cut(value, parser.maxChars));
  const found = usable.length > 0 ? usable.slice(0, parser.max) : fallback(text, parser);
  const value = parser.max > 1 ? found : (found[0] ?? '');
  const values = { [parser.port]: value };
  return problem === undefined ? { values, legal: true } : { values, legal: false, problem };
}

function tagProblem(parser: Extract<Parser, { kind: 'tags' }>, scan: Scan): string | undefined {
  const { values } = scan;
  if (values.length < parser.min)
    return values.length === 0
      ? `no <${parser.tag}>…</${parser.tag}>`
      : `${values.length} <${parser.tag}>, at least ${parser.min} needed`;
  if (values.length > parser.max) return `${values.length} <${parser.tag}>, at most ${parser.max} allowed`;
  if (values.includes('')) return `an empty <${parser.tag}>`;
  if (values.some((value) => value.length > parser.maxChars)) return `longer than ${parser.maxChars} characters`;
  if (parser.unique && new Set(values.map((value) => value.toLowerCase())).size < values.length)
    return `the same <${parser.tag}> twice`;
  if (scan.stray) return `a <${parser.tag}> out of place`;
  if (parser.strict && scan.outside) return 'text outside the tags';
  return undefined;
}

/** What lies inside the tags, trimmed; whether there is text outside, and whether a tag is unmatched or nested. */
type Scan = { values: string[]; outside: boolean; stray: boolean };

function scanTags(text: string, tag: string): Scan {
  const open = `<${tag}>`;
  const close = `</${tag}>`;
  const scan: Scan = { values: [], outside: false, stray: false };
  let at = 0;
  for (;;) {
    const start = text.indexOf(open, at);
    const end = start < 0 ? -1 : text.indexOf(close, start + open.length);
    const between = text.slice(at, end < 0 ? undefined : start);
    if (between.trim() !== '') scan.outside = true;
    if (between.includes(open) || between.includes(close)) scan.stray = true;
    if (end < 0) return scan;
    const inside = text.slice(start + open.length, end);
    if (inside.includes(open)) scan.stray = true;
    scan.values.push(inside.slice(inside.lastIndexOf(open) < 0 ? 0 : inside.lastIndexOf(open) + open.length).trim());
    at = end + close.length;
  }
}

/** A tag opened and never closed gives what follows it; without tags the whole text is the value. */
function fallback(text: string, parser: Extract<Parser, { kind: 'tags' }>): string[] {
  const open = `<${parser.tag}>`;
  const last = text.lastIndexOf(open);
  const after = last < 0 ? '' : clean(text.slice(last + open.length), parser.tag);
  const value = cut(after !== '' ? after : clean(text, parser.tag), parser.maxChars);
  return value === '' ? [] : [value];
}

function clean(text: string, tag: string): string {
  return text.replaceAll(`<${tag}>`, ' ').replaceAll(`</${tag}>`, ' ').replace(/\s+/gu, ' ').trim();
}

function opens(text: string, tag: string): boolean {
  return text.lastIndexOf(`<${tag}>`) > text.lastIndexOf(`</${tag}>`);
}

function cut(text: string, maxChars: number): string {
  return text.length > maxChars ? text.slice(0, maxChars).trimEnd() : text;
}
