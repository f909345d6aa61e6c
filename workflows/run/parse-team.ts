/**
 * A team written as JSON inside one tag, with what the model thought before it. Where the form is wrong but a team that may
 * run can still be found (an unclosed tag, a code fence), that one flows on and the output counts as illegal all the same.
 */
import { UserError } from '../../engine/errors.ts';
import type { Json } from '../schema/value.ts';
import type { Parser } from '../schema/workflow.ts';
import type { Parsed } from './parse.ts';
import { cut, scanTags, unclosed, withoutTags, type Scan } from './tags.ts';
import { readTeam } from './written-team.ts';

type TeamParser = Extract<Parser, { kind: 'workflow' }>;
type Read = { team: Json; problem?: string };

const maxProblemChars = 300;

export function parseTeam(parser: TeamParser, text: string): Parsed {
  const scan = scanTags(text, [parser.tag]);
  const form = formProblem(parser, text, scan);
  const inside = scan.found[0]?.value ?? unclosed(text, parser.tag) ?? text;
  const read = readIn(parser, inside);
  const problem = form ?? read.problem;
  const before = text.slice(0, scan.found[0]?.start ?? Math.max(0, text.indexOf(`<${parser.tag}>`)));
  const values = {
    [parser.port]: read.team,
    ...(parser.reasoning === undefined
      ? {}
      : { [parser.reasoning]: cut(withoutTags(before, [parser.tag]), parser.maxChars) }),
  };
  return problem === undefined ? { values, legal: true } : { values, legal: false, problem };
}

function formProblem({ tag, maxChars }: TeamParser, text: string, { found, stray }: Scan): string | undefined {
  if (found.length !== 1) return found.length === 0 ? `no <${tag}>…</${tag}>` : `${found.length} <${tag}>, one allowed`;
  if (stray) return `a <${tag}> out of place`;
  if (found[0].value.length > maxChars) return `longer than ${maxChars} characters`;
  return text.slice(found[0].end).trim() === '' ? undefined : `text after the <${tag}>`;
}

/** From the first brace to the last: what is left of a code fence or of words around the object. */
function braces(text: string): string {
  const [start, end] = [text.indexOf('{'), text.lastIndexOf('}')];
  return start < 0 || end < start ? '' : text.slice(start, end + 1);
}

function readIn(parser: TeamParser, source: string): Read {
  if (source.length > parser.maxChars) return { team: null, problem: `longer than ${parser.maxChars} characters` };
  const whole = jsonOf(source);
  const json = whole ?? jsonOf(braces(source));
  const none = whole === undefined ? { problem: `no JSON: ${source.slice(0, 60)}` } : {};
  if (json === undefined) return { team: null, ...none };
  try {
    return { team: readTeam(json, parser) as unknown as Json, ...none };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { team: null, problem: error.message.slice(0, maxProblemChars) };
  }
}

function jsonOf(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return undefined;
  }
}
