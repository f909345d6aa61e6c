/**
 * M-ASK's plan (arXiv 2601.04703, the public code's format): numbered questions and answers in turn, then one final answer.
 * Legal when they count up from 1 without a gap, no question is asked twice and nothing stands outside the tags.
 */
import type { AnsweredStep } from '../schema/value.ts';
import type { Parser } from '../schema/workflow.ts';
import type { Parsed } from './parse.ts';
import { cut, scanTags, unclosed, withoutTags, type Scan } from './tags.ts';

type StepsParser = Extract<Parser, { kind: 'steps' }>;

/** What stands for an answer that was not given. */
const unknown = 'unknown';

export function parseSteps(parser: StepsParser, text: string): Parsed {
  // One number more than allowed, so that one step too many is seen.
  const numbers = Array.from({ length: parser.max + 1 }, (_, i) => i + 1);
  const tags = [...numbers.flatMap((n) => [`q${n}`, `a${n}`]), parser.final];
  const scan = scanTags(text, tags);
  const steps = stepsIn(scan, numbers, parser);
  const final = valueOf(scan, parser.final) ?? unclosed(text, parser.final) ?? steps.at(-1)?.answer ?? '';
  const said = withoutTags(final, tags);
  const answer = said !== '' ? said : withoutTags(text, tags);
  const values = { [parser.port]: steps, [parser.answer]: cut(answer, parser.maxChars) };
  const problem = stepsProblem(parser, scan);
  return problem === undefined ? { values, legal: true } : { values, legal: false, problem };
}

function valueOf(scan: Scan, tag: string): string | undefined {
  return scan.found.find((each) => each.tag === tag && each.value !== '')?.value;
}

function stepsIn(scan: Scan, numbers: readonly number[], { max, maxChars }: StepsParser): AnsweredStep[] {
  return numbers
    .map((n) => ({ question: valueOf(scan, `q${n}`), answer: valueOf(scan, `a${n}`) }))
    .filter(({ question, answer }) => question !== undefined || answer !== undefined)
    .slice(0, max)
    .map(({ question, answer }) => ({
      question: cut(question ?? '', maxChars),
      answer: cut(answer ?? unknown, maxChars),
    }));
}

function stepsProblem(parser: StepsParser, scan: Scan): string | undefined {
  const { found } = scan;
  if (found.at(-1)?.tag !== parser.final) return `no <${parser.final}> at the end`;
  const steps = found.slice(0, -1);
  if (steps.length === 0) return 'no <q1>…</q1>';
  if (steps.length > 2 * parser.max) return `more than ${parser.max} steps`;
  const inTurn = steps.every(({ tag }, i) => tag === `${i % 2 === 0 ? 'q' : 'a'}${Math.floor(i / 2) + 1}`);
  if (!inTurn || steps.length % 2 === 1) return 'questions and answers do not count up in turn';
  if (found.some(({ value }) => value === '')) return 'an empty tag';
  if (found.some(({ value }) => value.length > parser.maxChars)) return `longer than ${parser.maxChars} characters`;
  const questions = steps.filter((_, i) => i % 2 === 0).map(({ value }) => value.toLowerCase());
  if (new Set(questions).size < questions.length) return 'the same question twice';
  if (scan.stray) return 'a tag out of place';
  if (scan.outside) return 'text outside the tags';
  return undefined;
}
