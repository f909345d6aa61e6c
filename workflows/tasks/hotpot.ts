/**
 * Questions from any file: one JSON object a line (or one JSON array) in our own form, in that of a known data set
 * (`layouts.ts`), or in any other with a mapping of its fields. A corpus is a second file of {title, text} lines. What is
 * held out follows from each id alone, so adding questions never moves one from one side to the other by rank.
 */
import { UserError } from '../../engine/errors.ts';
import { metrics, type Metric } from '../rewards/answer.ts';
import { hashSeed } from '../run/seed.ts';
import type { Passage } from '../schema/value.ts';
import { readPassage } from './fields.ts';
import { objectLines, objectRows, type Line } from './jsonl.ts';
import { layoutOf, readQuestion, type Layout } from './layouts.ts';
import { mapped, parseMapping, type Mapping } from './mapping.ts';
import type { Query, Task, TaskOptions } from './task.ts';

const maxQuestions = 1_000_000;
const maxPassages = 5_000_000;

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
  const options = checkOptions(file.options ?? {});
  const { queries, layout } = readQuestions(file.questions, file.questionsName, options);
  const corpus = file.corpus === undefined ? null : readCorpus(file.corpus, file.corpusName ?? 'the corpus');
  if (corpus === null && !layout.closedBook && queries.every((query) => query.paragraphs === undefined)) {
    throw new UserError(
      `The questions bring no paragraphs and there is no corpus: ${file.questionsName}; name a corpus file of {"title", "text"} lines`,
    );
  }
  const { train, heldOut } = split(queries, options);
  const documents =
    corpus !== null
      ? `a corpus of ${corpus.length} passages`
      : queries.some((query) => query.paragraphs !== undefined)
        ? 'their own paragraphs'
        : 'nothing to search in';
  return {
    name: file.name,
    title: file.name,
    description: `${train.length} questions to train on, ${heldOut.length} held out, with ${documents}.`,
    metric: options.metric ?? layout.metric,
    train,
    heldOut,
    corpus,
    ...(layout.presets === undefined ? {} : { presets: layout.presets }),
  };
}

type Options = { heldOut?: unknown; layout?: unknown; mapping?: Mapping; metric?: Metric };

const optionNames = ['heldOut', 'layout', 'map', 'metric'];

function checkOptions({ heldOut, layout, map, metric, ...unknown }: TaskOptions): Options {
  const [odd] = Object.keys(unknown);
  if (odd !== undefined)
    throw new UserError(
      `A question file has no option of this name: ${odd}; its options are ${optionNames.join(', ')}`,
    );
  if (map !== undefined && layout !== undefined)
    throw new UserError(`Both map and layout say how to read the file: ${String(map)}, ${String(layout)}; give one`);
  const known = metrics.find((each) => each === metric);
  if (metric !== undefined && known === undefined)
    throw new UserError(
      `There is no metric of this name: ${JSON.stringify(metric).slice(0, 60)}; use ${metrics.join(', ')}`,
    );
  return {
    heldOut,
    layout,
    ...(map === undefined ? {} : { mapping: parseMapping(String(map)) }),
    ...(known === undefined ? {} : { metric: known }),
  };
}

function readQuestions(bytes: Uint8Array, name: string, options: Options): { queries: Query[]; layout: Layout } {
  const seen = new Map<string, number>();
  const queries: Query[] = [];
  let layout: Layout | null = null;
  for (const line of objectRows(bytes, name, maxQuestions)) {
    layout ??= options.mapping
      ? { ...layoutOf('nq-open', undefined), metric: 'f1' }
      : layoutOf(options.layout, line.value);
    const query = options.mapping ? readMapped(line, options.mapping, name) : layout.read(line, name);
    if (query === null) continue;
    const before = seen.get(query.id);
    if (before !== undefined)
      throw new UserError(
        `${name}, line ${line.number}: the id of line ${before} comes again: ${query.id.slice(0, 80)}; give every question its own id`,
      );
    seen.set(query.id, line.number);
    queries.push(query);
  }
  if (layout === null || queries.length === 0)
    throw new UserError(`There is no question in this file: ${name}; write one {"id", "question", "answer"} a line`);
  return { queries, layout };
}

function readMapped(line: Line, mapping: Mapping, name: string): Query {
  const { line: ours, values } = mapped(line, mapping, name);
  const query = readQuestion(ours, name);
  return Object.keys(values).length === 0 ? query : { ...query, values };
}

function readCorpus(bytes: Uint8Array, name: string): Passage[] {
  const corpus: Passage[] = [];
  for (const line of objectLines(bytes, name, maxPassages)) corpus.push(readPassage(line, name));
  if (corpus.length === 0)
    throw new UserError(`There is no passage in this corpus: ${name}; write one {"title", "text"} a line`);
  return corpus;
}

/** `heldOut` is a number of questions (100 unless given), or a share below 1. Lowest hash of the id first. */
function split(queries: readonly Query[], options: Options): { train: Query[]; heldOut: Query[] } {
  const wanted = options.heldOut ?? Math.min(100, Math.floor(queries.length / 2));
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
