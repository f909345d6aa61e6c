/**
 * Fields of one question as somebody else wrote them: ids, answers and paragraphs, each bounded and refused by file and line.
 */
import { UserError } from '../../engine/errors.ts';
import type { Passage } from '../schema/value.ts';
import { fieldText, type Line } from './jsonl.ts';

const maxAnswers = 100;
const maxParagraphs = 1_000;
export const maxQuestionChars = 10_000;

/** The first of these fields that is there, else "line-7". */
export function readId(line: Line, name: string, fields: readonly string[]): string {
  const id = fields.map((field) => line.value[field]).find((value) => value !== undefined);
  if (id === undefined) return `line-${line.number}`;
  const text = typeof id === 'number' ? String(id) : id;
  if (typeof text === 'string' && text.length > 0 && text.length <= 200) return text;
  throw new UserError(
    `${name}, line ${line.number}: an id must be a text of 1 to 200 characters: ${JSON.stringify(id)?.slice(0, 80)}`,
  );
}

/** Gold answers from a text, a number or a list of them. */
export function readAnswers(given: unknown, line: Line, name: string): string[] {
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

/** Passages of {title, text}; MuSiQue calls the text paragraph_text. */
export function readParagraphs(given: unknown, line: Line, name: string): Passage[] {
  const list = boundedList(given, 'paragraphs', '{"title", "text"}', line, name);
  return list.map((item, index) => {
    const value = asObject(item);
    const text = value['text'] ?? value['paragraph_text'];
    return readPassage({ number: line.number, value: { ...value, text } }, `${name}, paragraph ${index + 1}`);
  });
}

/** HotpotQA's and 2WikiMultihop's own form: [[title, [sentence, …]], …], or {title: […], sentences: [[…], …]}. */
export function readContext(given: unknown, line: Line, name: string): Passage[] {
  const columns = asObject(given);
  const titles = columns['title'];
  const sentences = columns['sentences'];
  const pairs =
    Array.isArray(titles) && Array.isArray(sentences)
      ? titles.map((title: unknown, i): unknown => [title, sentences[i]])
      : given;
  return boundedList(pairs, 'context', '[title, [sentence, …]]', line, name).map((pair, index) => {
    const [title, texts] = Array.isArray(pair) ? (pair as unknown[]) : [];
    const text = Array.isArray(texts) && texts.every((each) => typeof each === 'string') ? texts.join(' ') : undefined;
    const value = { title, text: text?.replace(/\s+/gu, ' ').trim() };
    return readPassage({ number: line.number, value }, `${name}, context ${index + 1}`);
  });
}

export function readPassage(line: Line, name: string): Passage {
  const title = line.value['title'] === undefined ? '' : fieldText(line, name, 'title', 2_000, true);
  return { title, text: fieldText(line, name, 'text', 1_000_000) };
}

function boundedList(given: unknown, field: string, form: string, line: Line, name: string): unknown[] {
  if (Array.isArray(given) && given.length <= maxParagraphs) return given;
  throw new UserError(`${name}, line ${line.number}: "${field}" must be a list of at most ${maxParagraphs} ${form}`);
}

function asObject(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
