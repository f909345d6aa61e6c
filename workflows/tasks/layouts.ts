/**
 * The forms in which data sets come: how a row of each is known, what it is scored by, and how it becomes a question. A file
 * is recognised by its first row; the option `layout` says it where that is not enough. Knows no files and no splits.
 */
import { UserError } from '../../engine/errors.ts';
import { markedAnswer } from '../rewards/number.ts';
import type { Metric } from '../rewards/answer.ts';
import type { Preset } from '../templates/preset.ts';
import { isCodeRow, readCode } from './code-layouts.ts';
import { maxQuestionChars, readAnswers, readContext, readId, readParagraphs } from './fields.ts';
import { fieldText, type Line } from './jsonl.ts';
import type { Query } from './task.ts';

type Row = Readonly<Record<string, unknown>>;

export type Layout = {
  readonly name: string;
  readonly metric: Metric;
  /** Answerable without anything to search in. */
  readonly closedBook: boolean;
  /** Whether a row is of this layout and of none before it in the list. */
  readonly fits: (row: Row) => boolean;
  /** null for a row that asks nothing that can be answered. */
  readonly read: (line: Line, name: string) => Query | null;
  readonly presets?: Readonly<Record<string, Preset>>;
};

const working = {
  parser: { kind: 'text', port: 'answer', maxChars: 8_000 },
  sampling: { maxTokens: 256 },
} as const;

const sums: Readonly<Record<string, Preset>> = {
  'single-agent': {
    roles: {
      solver: {
        prompt: {
          system: 'Solve the problem step by step. End with a line "#### " and the answer.',
          user: '{{question}}',
        },
        ...working,
      },
    },
  },
};

const programs: Readonly<Record<string, Preset>> = {
  'single-agent': {
    roles: {
      solver: { prompt: { system: 'Complete the program. Reply with code only.', user: '{{question}}' }, ...working },
    },
  },
};

const texts = (row: Row, ...fields: string[]): boolean => fields.every((field) => typeof row[field] === 'string');
const listed = (value: unknown, field: string): boolean =>
  Array.isArray(value) && value.length > 0 && typeof value[0] === 'object' && value[0] !== null && field in value[0];

export const layouts: readonly Layout[] = [
  { name: 'code', metric: 'passed', closedBook: true, fits: isCodeRow, read: readCode, presets: programs },
  {
    name: 'svamp',
    metric: 'number',
    closedBook: true,
    fits: (row) => texts(row, 'Body', 'Question') && 'Answer' in row,
    read: readSvamp,
    presets: sums,
  },
  {
    name: 'math',
    metric: 'number',
    closedBook: true,
    fits: (row) => texts(row, 'problem') && ('solution' in row || 'answer' in row),
    read: readMath,
    presets: sums,
  },
  {
    name: 'gsm8k',
    metric: 'number',
    closedBook: true,
    fits: (row) => texts(row, 'question', 'answer') && /\n####\s*\S/u.test(String(row['answer'])),
    read: readGsm8k,
    presets: sums,
  },
  {
    name: 'musique',
    metric: 'f1',
    closedBook: false,
    fits: (row) => texts(row, 'question') && listed(row['paragraphs'], 'paragraph_text'),
    read: readMusique,
  },
  // HotpotQA as published, and 2WikiMultihop, which took its form over.
  {
    name: 'hotpotqa',
    metric: 'f1',
    closedBook: false,
    fits: (row) => texts(row, 'question') && typeof row['context'] === 'object' && row['context'] !== null,
    read: readMultihop,
  },
  { name: 'questions', metric: 'f1', closedBook: false, fits: () => true, read: readQuestion },
  // Rows like ours, without documents: nothing in them says so, so it is only chosen by name.
  { name: 'nq-open', metric: 'em', closedBook: true, fits: () => false, read: readQuestion },
];

const aliases: Readonly<Record<string, string>> = {
  '2wikimultihop': 'hotpotqa',
  humaneval: 'code',
  'humaneval-x': 'code',
  mbxp: 'code',
};

/** The layout of this name, or the one the first row has. Throws a UserError for a name that is none. */
export function layoutOf(named: unknown, first: Row | undefined): Layout {
  if (named === undefined) return layouts.find(({ fits }) => fits(first ?? {}))!;
  const found = layouts.find(({ name }) => name === (aliases[String(named)] ?? named));
  if (found !== undefined) return found;
  throw new UserError(
    `There is no layout of this name: ${JSON.stringify(named).slice(0, 60)}; use ${[...layouts.map(({ name }) => name), ...Object.keys(aliases)].join(', ')}`,
  );
}

/** Our own: question, answer or answers, id or _id, paragraphs. */
export function readQuestion(line: Line, name: string): Query {
  const { value } = line;
  const query: Query = {
    id: readId(line, name, ['id', '_id']),
    question: fieldText(line, name, 'question', maxQuestionChars),
    answers: readAnswers(value['answers'] ?? value['answer'], line, name),
  };
  if (value['paragraphs'] !== undefined && value['paragraphs'] !== null)
    query.paragraphs = readParagraphs(value['paragraphs'], line, name);
  return query;
}

function readMultihop(line: Line, name: string): Query {
  return { ...readQuestion(line, name), paragraphs: readContext(line.value['context'], line, name) };
}

/** Aliases count as gold answers; MuSiQue-Full also holds questions that its paragraphs do not answer. */
function readMusique(line: Line, name: string): Query | null {
  const { value } = line;
  if (value['answerable'] === false) return null;
  const query = readQuestion(line, name);
  const more = value['answer_aliases'];
  if (!Array.isArray(more) || more.length === 0) return query;
  return { ...query, answers: [...new Set([...query.answers, ...readAnswers(more, line, name)])] };
}

/** The working stands before "####", the number behind it. */
function readGsm8k(line: Line, name: string): Query {
  const worked = fieldText(line, name, 'answer', 100_000);
  return goldOf(
    line,
    name,
    readId(line, name, ['id', '_id']),
    fieldText(line, name, 'question', maxQuestionChars),
    worked,
  );
}

/** Hendrycks et al. 2021: `problem` and a `solution` that ends in \boxed{…}; some copies give the `answer` apart. */
function readMath(line: Line, name: string): Query {
  const { value } = line;
  const question = fieldText(line, name, 'problem', maxQuestionChars);
  const id = readId(line, name, ['unique_id', 'id', '_id']);
  if (value['answer'] === undefined)
    return goldOf(line, name, id, question, fieldText(line, name, 'solution', 100_000));
  return { id, question, answers: readAnswers(value['answer'], line, name) };
}

function goldOf(line: Line, name: string, id: string, question: string, worked: string): Query {
  const answer = markedAnswer(worked);
  if (answer === null || answer === '')
    throw new UserError(
      `${name}, line ${line.number}: the answer is not marked by "####" or \\boxed{…}: ${JSON.stringify(worked.slice(-60))}; mark it`,
    );
  return { id, question, answers: [answer] };
}

/** A story and the question about it, in two fields. */
function readSvamp(line: Line, name: string): Query {
  const body = fieldText(line, name, 'Body', maxQuestionChars).trim();
  const question = fieldText(line, name, 'Question', maxQuestionChars).trim();
  return {
    id: readId(line, name, ['ID', 'id']),
    question: `${body}${/[.!?,;:]$/u.test(body) ? '' : '.'} ${question}`,
    answers: readAnswers(line.value['Answer'], line, name),
  };
}
