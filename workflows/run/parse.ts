/**
 * How a role's text becomes values, and whether the text is legal. An illegal text never stops the flow: a fallback always
 * yields values, and the format term of the rewards says what it costs. Knows nothing of prompts, models or graphs.
 */
import type { FinishReason } from '../../engine/protocol.ts';
import type { Values } from '../schema/value.ts';
import type { Parser } from '../schema/workflow.ts';
import { parseFields } from './parse-fields.ts';
import { parseSteps } from './parse-steps.ts';
import { parseTeam } from './parse-team.ts';
import { cut, scanTags, unclosed, withoutTags, type Scan } from './tags.ts';

export type Parsed = { values: Values; legal: boolean; problem?: string };

type ParserOf<Kind extends Parser['kind']> = Extract<Parser, { kind: Kind }>;

/** The tags whose closing may be a stop string. */
function closingTags(parser: Parser): string[] {
  switch (parser.kind) {
    case 'text':
      return [];
    case 'tags':
    case 'workflow':
      return [parser.tag];
    case 'fields':
      return parser.fields.map((field) => field.tag);
    case 'steps':
      return [parser.final];
    default:
      return parser satisfies never;
  }
}

/**
 * Parses what a model said. `stop` are the role's stop strings: the sampler cuts the text before them, so a closing tag
 * among them counts as written. Never throws, whatever the text.
 */
export function parseText(parser: Parser, text: string, finish: FinishReason, stop: readonly string[] = []): Parsed {
  const open =
    finish === 'stop-string'
      ? closingTags(parser).find((tag) => stop.includes(`</${tag}>`) && unclosed(text, tag) !== null)
      : undefined;
  const parsed = parseWhole(parser, open === undefined ? text : `${text}</${open}>`);
  const unfinished = finishProblem(finish);
  if (unfinished === undefined) return parsed;
  return { values: parsed.values, legal: false, problem: unfinished };
}

function parseWhole(parser: Parser, text: string): Parsed {
  switch (parser.kind) {
    case 'text':
      return parsePlain(parser, text);
    case 'tags':
      return parseTags(parser, text);
    case 'fields':
      return parseFields(parser, text);
    case 'steps':
      return parseSteps(parser, text);
    case 'workflow':
      return parseTeam(parser, text);
    default:
      return parser satisfies never;
  }
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

function parsePlain(parser: ParserOf<'text'>, text: string): Parsed {
  const value = text.trim();
  const values = { [parser.port]: cut(value, parser.maxChars) };
  if (value === '') return { values, legal: false, problem: 'empty' };
  if (value.length > parser.maxChars)
    return { values, legal: false, problem: `longer than ${parser.maxChars} characters` };
  return { values, legal: true };
}

function parseTags(parser: ParserOf<'tags'>, text: string): Parsed {
  if (parser.end !== undefined && text.trim() === parser.end)
    return { values: { [parser.port]: parser.max > 1 ? [] : '' }, legal: true };
  const scan = scanTags(text, [parser.tag]);
  const problem = tagProblem(parser, scan);
  const usable = scan.found.filter(({ value }) => value !== '').map(({ value }) => cut(value, parser.maxChars));
  const found = usable.length > 0 ? usable.slice(0, parser.max) : fallback(text, parser);
  const value = parser.max > 1 ? found : (found[0] ?? '');
  const values = { [parser.port]: value };
  return problem === undefined ? { values, legal: true } : { values, legal: false, problem };
}

function tagProblem(parser: ParserOf<'tags'>, scan: Scan): string | undefined {
  const values = scan.found.map(({ value }) => value);
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

/** A tag opened and never closed gives what follows it; without tags the whole text is the value. */
function fallback(text: string, parser: ParserOf<'tags'>): string[] {
  const last = text.lastIndexOf(`<${parser.tag}>`);
  const after = last < 0 ? '' : withoutTags(text.slice(last + parser.tag.length + 2), [parser.tag]);
  const value = cut(after !== '' ? after : withoutTags(text, [parser.tag]), parser.maxChars);
  return value === '' ? [] : [value];
}
