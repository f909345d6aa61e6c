/**
 * Questions from any file: one JSON object a line with `question` and `answer` (a text or a list; `answers` too), an `id`,
 * and `paragraphs` where each question brings its own documents. A corpus is a second file of {title, text} lines. What is
 * held out follows from each id alone, so adding questions never moves one from one side to the other by rank.
 */
import { UserError } from '../../engine/errors.ts';
import { hashSeed } from '../run/seed.ts';
import type { Passage } from '../schema/value.ts';
import { fieldText, objectLines, type Line } from './jsonl.ts';
import type { Query, Task, TaskOptions } from './task.ts';

const maxQuestions = 1_000_000;
const maxPassages = 5_000_000;
const maxAnswers = 100;
const maxParagraphs = 1_000;

export type QuestionFile = {
  name: string;
  questions: Uint8Array;
  /** What the files are called in messages. */
  questionsName: string;
  corpus?: Uint8Array;
  corpusName?: string;
  options?: TaskOptions;
};

/** A task from bytes. Throws a UserError naming the file and line of what is wrong. */
export function questionTask(file: QuestionFile): Task {
  const queries = readQuestions(file.questions, file.questionsName);
  const corpus = file.corpus === undefined ? null : readCorpus(file.corpus, file.corpusName ?? 'the corpus');
  if (corpus === null && queries.every((query) => query.paragraphs === undefined)) {
    throw new UserError(
      `The questions bring no paragraphs and there is no corpus: ${file.questionsName}; name a corpus file of {"title", "text"} lines`,
    );
  }
  const { train, heldOut } = split(queries, file.options ?? {});
  const documents = corpus === null ? 'their own paragraphs' : `a corpus of ${corpus.length} passages`;
  return {
    name: file.name,
    title: file.name,
    description: `${train.length} questions to train on, ${heldOut.length} held out, with ${documents}.`,
    metric: 'f1',
    train,
    heldOut,
    corpus,
  };
}

function readQuestions(bytes: Uint8Array, name: string): Query[] {
  const seen = new Map<string, number>();
  const queries: Query[] = [];
  for (const line of objectLines(bytes, name, maxQuestions)) {
    const query = readQuestion(line, name);
    const before = seen.get(query.id);
    if (before !== undefined)
      throw new UserError(
        `${name}, line ${line.number}: the id of line ${before} comes again: ${query.id.slice(0, 80)}; give every question its own id`,
      );
    seen.set(query.id, line.number);
    queries.push(query);
  }
  if (queries.length === 0)
    throw new UserError(`There is no question in this file: ${name}; write one {"id", "question", "answer"} a line`);
  return queries;
}

function readQuestion(line: Line, name: string): Query {
  const { value } = line;
  const question = fieldText(line, name, 'question', 10_000);
  const id =
    value['id'] === undefined && value['_id'] === undefined
      ? `line-${line.number}`
      : readId(value['id'] ?? value['_id'], line, name);
  const query: Query = { id, question, answers: readAnswers(line, name) };
  if (value['paragraphs'] !== undefined && value['paragraphs'] !== null)
    query.paragraphs = readParagraphs(value['paragraphs'], line, name);
  return query;
}

function readId(id: unknown, line: Line, name: string): string {
  const text = typeof id === 'number' ? String(id) : id;
  if (typeof text === 'string' && text.length > 0 && text.length <= 200) return text;
  throw new UserError(
    `${name}, line ${line.number}: an id must be a text of 1 to 200 characters: ${JSON.stringify(id)?.slice(0, 80)}`,
  );
}

function readAnswers(line: Line, name: string): string[] {
  const given = line.value['answers'] ?? line.value['answer'];
  const list = Array.isArray(given) ? given : [given];
  const answers = list.map((item) => (typeof item === 'number' ? String(item) : item));
  const good = answers.every(
    (item): item is string => typeof item === 'string' && item.trim() !== '' && item.length <= 10_000,
  );
  if (good && answers.length > 0 && answers.length <= maxAnswers) return answers as string[];
  throw new UserError(
    `${name}, line ${line.number}: "answer" must be a text, or a list of 1 to ${maxAnswers} texts: ${(JSON.stringify(given) ?? 'nothing').slice(0, 80)}`,
  );
}

function readParagraphs(given: unknown, line: Line, name: string): Passage[] {
  if (!Array.isArray(given) || given.length > maxParagraphs)
    throw new UserError(
      `${name}, line ${line.number}: "paragraphs" must be a list of at most ${maxParagraphs} {"title", "text"}`,
    );
  return given.map((item, index) =>
    readPassage({ number: line.number, value: asObject(item) }, `${name}, paragraph ${index + 1}`),
  );
}

function asObject(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function readCorpus(bytes: Uint8Array, name: string): Passage[] {
  const corpus: Passage[] = [];
  for (const line of objectLines(bytes, name, maxPassages)) corpus.push(readPassage(line, name));
  if (corpus.length === 0)
    throw new UserError(`There is no passage in this corpus: ${name}; write one {"title", "text"} a line`);
  return corpus;
}

function readPassage(line: Line, name: string): Passage {
  const title = line.value['title'] === undefined ? '' : fieldText(line, name, 'title', 2_000, true);
  return { title, text: fieldText(line, name, 'text', 1_000_000) };
}

/** `heldOut` is a number of questions (100 unless given), or a share below 1. Lowest hash of the id first. */
function split(queries: readonly Query[], options: TaskOptions): { train: Query[]; heldOut: Query[] } {
  const unknown = Object.keys(options).find((option) => option !== 'heldOut');
  if (unknown !== undefined)
    throw new UserError(`A question file has no option of this name: ${unknown}; its only option is heldOut`);
  const wanted = options['heldOut'] ?? Math.min(100, Math.floor(queries.length / 2));
  if (typeof wanted !== 'number' || !(wanted >= 0) || (wanted >= 1 && !Number.isInteger(wanted))) {
    throw new UserError(`heldOut must be a number of questions or a share below 1: ${JSON.stringify(wanted)}`);
  }
  const count = wanted < 1 ? Math.round(wanted * queries.length) : wanted;
  if (count > queries.length)
    throw new UserError(`heldOut is more than the ${queries.length} questions there are: ${wanted}; hold fewer out`);
  const ranked = queries.map((query) => ({ id: query.id, rank: hashSeed('held-out', query.id) }));
  ranked.sort((a, b) => a.rank - b.rank || (a.id < b.id ? -1 : 1));
  const held = new Set(ranked.slice(0, count).map((each) => each.id));
  return {
    train: queries.filter((query) => !held.has(query.id)),
    heldOut: queries.filter((query) => held.has(query.id)),
  };
}
