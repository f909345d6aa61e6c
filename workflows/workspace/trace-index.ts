/**
 * The rows of a run's traces, for lists. Beside each step's traces stands an index of them. The indexes of 64 steps that lie
 * behind the newest are gathered into one block, column by column, so that a list of 100,000 traces reads some tens of files;
 * the rows of the two runs looked at last stay in memory. Indexes and blocks are written while a run trains; where one is
 * missing or does not fit, what it would say is read from the traces.
 */
import type { TraceFilter, TracePage, TraceSummary } from '../protocol.ts';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { bytesOf, parseAs, paths, stepOf, textOf } from './layout.ts';
import { readNotes, tagsOf } from './notes.ts';
import type { Store } from './store.ts';
import { ordered, page, passes, summarise } from './trace-list.ts';

/** Where a trace's line stands in its step's file. */
export type Place = { offset: number; length: number };
export type IndexRow = TraceSummary & { place: Place };

const BLOCK = 64;
/** Fewer files than this are as quick to read one by one. */
const WORTH = 8;
const RUNS_KEPT = 2;
/** Another process may add steps; its files are looked for again after so long. */
const LOOK_AGAIN_MS = 1_000;
/** Longest line of a trace. */
const LINE_MAX = 2 ** 30;

const isText = (value: unknown): boolean => typeof value === 'string';
const isNumber = (value: unknown): boolean => typeof value === 'number';
const isFlag = (value: unknown): boolean => typeof value === 'boolean';
const isRole = (value: unknown): boolean =>
  Array.isArray(value) && (value[0] === null || isNumber(value[0])) && isFlag(value[1]) && isNumber(value[2]);

/** What each column must hold: a hundred thousand rows are checked in the time a schema needs for a few thousand. */
const columns: Readonly<Record<keyof TraceSummary, (value: unknown) => boolean>> = {
  id: isText,
  query: isText,
  step: isNumber,
  phase: (value) => value === 'train' || value === 'eval' || value === 'run',
  question: isText,
  answer: isText,
  status: (value) => value === 'done' || value === 'dropped',
  score: isNumber,
  f1: isNumber,
  em: isNumber,
  reward: isNumber,
  legal: isFlag,
  failed: isFlag,
  records: isNumber,
  tokens: isNumber,
  roles: (value) => typeof value === 'object' && value !== null && Object.values(value).every(isRole),
};
const names = Object.keys(columns) as (keyof TraceSummary)[];

export async function writeIndex(
  store: Store,
  run: string,
  step: number,
  traces: readonly Trace[],
  places: readonly Place[],
): Promise<void> {
  const rows = traces.map((trace, i): IndexRow => ({ ...summarise(trace), place: places[i] }));
  await store.write(paths.traceIndex(run, step), lineOf(rows));
  forgetRows(store, run, step);
  if (step % BLOCK !== 0 || step === 0) return;
  const steps = (await traceSteps(store, run)).filter((each) => each >= step - BLOCK && each < step);
  if (steps.length >= WORTH) await gather(store, run, step - 1, steps);
}

export async function traceSteps(store: Store, run: string): Promise<number[]> {
  return (await store.list(paths.traces(run))).filter((name) => /^\d+\.index\.json$/.test(name)).map(stepOf);
}

/** A step's rows with their places; where its index is damaged or of an older kind they are made from the traces. Writes nothing. */
export async function readIndex(store: Store, run: string, step: number): Promise<IndexRow[]> {
  const name = paths.traceIndex(run, step);
  const known = indexRows(parsed(await store.read(name)));
  if (known !== null) return known;
  return rowsOfLines(store, run, step);
}

function lineOf(value: unknown): Uint8Array {
  return bytesOf(`${JSON.stringify(value)}\n`);
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(textOf(bytes));
  } catch {
    return null;
  }
}

function indexRows(value: unknown): IndexRow[] | null {
  if (!Array.isArray(value)) return null;
  const fits = value.every(
    (row: unknown) =>
      typeof row === 'object' &&
      row !== null &&
      names.every((name) => columns[name]((row as Record<string, unknown>)[name])) &&
      isPlace((row as { place?: unknown }).place),
  );
  return fits ? (value as IndexRow[]) : null;
}

function isPlace(value: unknown): boolean {
  const { offset, length } = (value ?? {}) as Partial<Place>;
  return (
    Number.isSafeInteger(offset) && offset! >= 0 && Number.isSafeInteger(length) && length! >= 0 && length! <= LINE_MAX
  );
}

async function rowsOfLines(store: Store, run: string, step: number): Promise<IndexRow[]> {
  const name = paths.traceLines(run, step);
  const bytes = await store.read(name);
  const rows: IndexRow[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const end = bytes.indexOf(0x0a, offset);
    const length = (end < 0 ? bytes.length : end + 1) - offset;
    const trace = parseAs(traceSchema, bytes.subarray(offset, offset + length), name);
    rows.push({ ...summarise(trace), place: { offset, length } });
    offset += length;
  }
  return rows;
}

// ---- blocks ----------------------------------------------------------------------------------------------------

type Columns = { [Name in keyof TraceSummary]: TraceSummary[Name][] };
type Block = { steps: number[]; columns: Columns };

/** Written out: objects made by a loop over names take three times the memory and ten times the time. */
function rowOf(held: Columns, at: number): TraceSummary {
  return {
    id: held.id[at],
    query: held.query[at],
    step: held.step[at],
    phase: held.phase[at],
    question: held.question[at],
    answer: held.answer[at],
    status: held.status[at],
    score: held.score[at],
    f1: held.f1[at],
    em: held.em[at],
    reward: held.reward[at],
    legal: held.legal[at],
    failed: held.failed[at],
    records: held.records[at],
    tokens: held.tokens[at],
    roles: held.roles[at],
  };
}

/** Writes the steps of one block, oldest first, into a file; `last` is the last step the block may hold. */
async function gather(store: Store, run: string, last: number, steps: readonly number[]): Promise<void> {
  const parts = await Promise.all(steps.map((step) => stepRows(store, run, step)));
  const rows = parts.flat();
  const block: Block = {
    steps: [...steps],
    columns: Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])) as Columns,
  };
  await store.write(paths.traceBlock(run, last), lineOf(block));
}

async function stepRows(store: Store, run: string, step: number): Promise<TraceSummary[]> {
  return (await readIndex(store, run, step)).map(({ place: _, ...row }) => row);
}

/** The rows of a block by step, or null where it does not fit the steps there are. */
async function readBlock(
  store: Store,
  run: string,
  last: number,
  steps: readonly number[],
): Promise<Map<number, TraceSummary[]> | null> {
  const name = paths.traceBlock(run, last);
  const block = parsed(await store.read(name)) as Partial<Block> | null;
  const held = block?.columns;
  if (JSON.stringify(block?.steps) !== JSON.stringify(steps) || typeof held !== 'object' || held === null) return null;
  const count = Array.isArray(held.id) ? held.id.length : 0;
  const whole = names.every(
    (each) => Array.isArray(held[each]) && held[each].length === count && held[each].every(columns[each]),
  );
  if (!whole) return null;
  const byStep = new Map<number, TraceSummary[]>(steps.map((step) => [step, []]));
  const texts = new Map<string, string>();
  const once = (text: string): string => texts.get(text) ?? (texts.set(text, text), text);
  for (let at = 0; at < count; at++) {
    const row = rowOf(held as Columns, at);
    row.question = once(row.question); // the same questions come again and again: one copy of each
    row.query = once(row.query);
    const into = byStep.get(row.step);
    if (into === undefined) return null;
    into.push(row);
  }
  return byStep;
}

// ---- lists -----------------------------------------------------------------------------------------------------

type Rows = {
  /** By step. */
  parts: Map<number, TraceSummary[]>;
  all: readonly TraceSummary[];
  /** Of which steps `all` was made: how many, and the last. */
  shown: string;
  lookedMs: number;
  /** The filter asked for last, and what it let through. */
  view: { key: string; rows: readonly TraceSummary[] } | null;
};

/** Of each store, the runs looked at last. */
const kept = new WeakMap<Store, Map<string, Rows>>();

/** A run's files changed in this process, from this step on. */
export function forgetRows(store: Store, run: string, from: number): void {
  const rows = kept.get(store)?.get(run);
  if (!rows) return;
  rows.lookedMs = 0;
  for (const step of rows.parts.keys()) if (step >= from) rows.parts.delete(step);
}

/** Newest step first. */
export async function listTraces(store: Store, run: string, filter: TraceFilter): Promise<TracePage> {
  const rows = await rowsOf(store, run);
  const notes = await readNotes(store, run);
  const key = JSON.stringify([{ ...filter, offset: 0, limit: 0 }, filter.tag === undefined ? 0 : notes.version]);
  if (rows.view?.key !== key) {
    const through = rows.all.filter((row) => passes(row, filter, tagsOf(notes, row.id)));
    rows.view = { key, rows: ordered(through, filter.order) };
  }
  const part = page(rows.view.rows, filter);
  return { ...part, rows: part.rows.map((row) => ({ ...row, ...tagged(tagsOf(notes, row.id)) })) };
}

function tagged(tags: readonly string[]): { tags?: string[] } {
  return tags.length === 0 ? {} : { tags: [...tags] };
}

async function rowsOf(store: Store, run: string): Promise<Rows> {
  const runs = kept.get(store) ?? new Map<string, Rows>();
  kept.set(store, runs);
  const rows = runs.get(run) ?? { parts: new Map(), all: [], shown: '', lookedMs: 0, view: null };
  runs.delete(run);
  runs.set(run, rows); // the newest stands last
  for (const oldest of [...runs.keys()].slice(0, -RUNS_KEPT)) runs.delete(oldest);
  if (rows.lookedMs === 0 || performance.now() - rows.lookedMs > LOOK_AGAIN_MS) await refresh(store, run, rows);
  return rows;
}

async function refresh(store: Store, run: string, rows: Rows): Promise<void> {
  const started = performance.now();
  const files = await store.list(paths.traces(run));
  const steps = files.filter((name) => /^\d+\.index\.json$/.test(name)).map(stepOf);
  const there = new Set(steps);
  for (const step of rows.parts.keys()) if (!there.has(step)) rows.parts.delete(step);
  const missing = steps.filter((step) => !rows.parts.has(step));
  await Promise.all(
    [...byBlock(missing)].map(async ([last, wanted]) => {
      const whole = steps.filter((step) => blockEnd(step) === last);
      const found = await blockOrSteps(store, run, { last, whole, wanted, files });
      for (const [step, part] of found) rows.parts.set(step, part);
    }),
  );
  rows.lookedMs = started;
  const shown = `${rows.parts.size} ${steps.at(-1)}`;
  if (missing.length === 0 && rows.shown === shown) return;
  rows.shown = shown;
  rows.all = [...rows.parts.keys()].sort((a, b) => b - a).flatMap((step) => rows.parts.get(step)!);
  rows.view = null;
}

function blockEnd(step: number): number {
  return step - (step % BLOCK) + BLOCK - 1;
}

function byBlock(steps: readonly number[]): Map<number, number[]> {
  const blocks = new Map<number, number[]>();
  for (const step of steps) blocks.set(blockEnd(step), [...(blocks.get(blockEnd(step)) ?? []), step]);
  return blocks;
}

type Wanted = { last: number; whole: number[]; wanted: number[]; files: readonly string[] };

async function blockOrSteps(
  store: Store,
  run: string,
  { last, whole, wanted, files }: Wanted,
): Promise<Map<number, TraceSummary[]>> {
  const name = paths.traceBlock(run, last);
  if (wanted.length >= WORTH && files.includes(name.slice(name.lastIndexOf('/') + 1))) {
    const found = await readBlock(store, run, last, whole);
    if (found) return found;
  }
  const parts = await Promise.all(wanted.map((step) => stepRows(store, run, step)));
  return new Map(wanted.map((step, i) => [step, parts[i]]));
}
