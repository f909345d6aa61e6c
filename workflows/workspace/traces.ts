/**
 * Traces on disk: per step one file of thin traces (JSON lines), one safetensors file with the token-level numbers of all
 * their records end to end, and an index for lists (`trace-index.ts`), with each trace's place in the lines. A trace reads
 * its own bytes of both. Each file is written whole, once the step is over.
 */
import { z } from 'zod';
import { openSafetensors, readFloats, readInts, type SafetensorsFile } from '../../engine/formats/safetensors.ts';
import { writeSafetensors } from '../../engine/formats/safetensors-write.ts';
import { UserError } from '../../engine/errors.ts';
import { parseAs, traceFormat } from '../schema/migrate.ts';
import { recordSchema, traceSchema, type Trace, type TraceRecord, type TraceTokens } from '../schema/trace.ts';
import { bytesOf, paths, readAs, stepOf, textOf } from './layout.ts';
import type { Store } from './store.ts';
import { forgetRows, readIndex, traceSteps, writeIndex, type Place } from './trace-index.ts';

/** In a thin record, where its tokens stand in the step's arrays. */
const range = z.tuple([z.int().min(0), z.int().min(0)]);
const thinSchema = recordSchema
  .omit({ tokens: true })
  .extend({ span: z.object({ prompt: range, response: range }).optional(), pieces: z.array(z.string()).optional() });
const storedSchema = traceSchema.extend({ records: z.array(thinSchema) });
type Stored = z.infer<typeof storedSchema>;
type Thin = z.infer<typeof thinSchema>;
type Span = NonNullable<Thin['span']>;

const measured = ['logprobs', 'entropy', 'oldLogprobs', 'newLogprobs', 'values', 'advantages', 'returns'] as const;
type Measured = (typeof measured)[number];

export async function writeTraces(store: Store, run: string, step: number, traces: readonly Trace[]): Promise<void> {
  const kept = collect(traces);
  const lines = kept.thin.map((trace) => bytesOf(`${JSON.stringify(trace)}\n`));
  let offset = 0;
  const places = lines.map(({ length }): Place => {
    offset += length;
    return { offset: offset - length, length };
  });
  await store.write(paths.traceTokens(run, step), tokenFile(kept));
  await store.write(paths.traceLines(run, step), joined(lines));
  await writeIndex(store, run, step, traces, places);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

type Kept = { thin: object[]; promptIds: number[]; ids: number[]; arrays: Record<Measured, number[]> };

function collect(traces: readonly Trace[]): Kept {
  const kept: Kept = {
    thin: [],
    promptIds: [],
    ids: [],
    arrays: Object.fromEntries(measured.map((name) => [name, [] as number[]])) as Kept['arrays'],
  };
  for (const trace of traces) kept.thin.push({ ...trace, records: trace.records.map((record) => thin(record, kept)) });
  return kept;
}

function thin(record: TraceRecord, kept: Kept): object {
  const { tokens, ...rest } = record;
  if (!tokens) return rest;
  const span: Span = {
    prompt: [kept.promptIds.length, kept.promptIds.length + tokens.promptIds.length],
    response: [kept.ids.length, kept.ids.length + tokens.ids.length],
  };
  for (const id of tokens.promptIds) kept.promptIds.push(id);
  for (const id of tokens.ids) kept.ids.push(id);
  for (const name of measured)
    for (let i = 0; i < tokens.ids.length; i++) kept.arrays[name].push(tokens[name]?.[i] ?? Number.NaN);
  return { ...rest, pieces: tokens.pieces, span };
}

/** NaN marks numbers a record does not have: an evaluation has no advantages. */
function tokenFile(kept: Kept): Uint8Array {
  const ints = (name: string, data: number[]) => ({ name, shape: [data.length], data: Int32Array.from(data) });
  const floats = measured.map((name) => ({
    name,
    shape: [kept.arrays[name].length],
    data: Float32Array.from(kept.arrays[name]),
  }));
  return writeSafetensors([ints('promptIds', kept.promptIds), ints('ids', kept.ids), ...floats]);
}

export async function readTrace(store: Store, run: string, id: string): Promise<Trace> {
  const step = stepOf(id);
  const index = (await traceSteps(store, run)).includes(step) ? await readIndex(store, run, step) : [];
  const row = index.find((each) => each.id === id);
  if (!row) throw new UserError(`No such trace in run ${run}: ${id}; list them first`);
  const line = await store.readRange(paths.traceLines(run, step), row.place.offset, row.place.length);
  const stored = readLine(line, paths.traceLines(run, step));
  const columns = await readColumns(await openTokens(store, paths.traceTokens(run, step)), stored.records);
  return { ...stored, records: stored.records.map((record) => thick(record, columns)) };
}

function readLine(line: Uint8Array, name: string): Stored {
  return readAs((json) => parseAs({ ...traceFormat, schema: storedSchema }, json), line, name);
}

/** All traces of a step, without their token numbers. */
export async function readThinTraces(store: Store, run: string, step: number): Promise<Trace[]> {
  const name = paths.traceLines(run, step);
  const lines = textOf(await store.read(name))
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => {
    const { records, ...rest } = readLine(bytesOf(line), name);
    return { ...rest, records: records.map(({ span: _, pieces: __, ...record }) => record) };
  });
}

async function openTokens(store: Store, path: string): Promise<SafetensorsFile> {
  const size = (await store.stat(path))?.size ?? 0;
  return openSafetensors({ name: path, size, read: (offset, length) => store.readRange(path, offset, length) });
}

type Columns = {
  /** Where what was read begins in the step's arrays. */
  from: Record<keyof Span, number>;
  promptIds: Int32Array;
  ids: Int32Array;
} & Record<Measured, Float32Array>;

/** A trace's own part of the step's arrays: its records stand end to end in them. */
async function readColumns(file: SafetensorsFile, records: readonly Thin[]): Promise<Columns> {
  const spans = records.flatMap(({ span }) => span ?? []);
  const around = (of: keyof Span): [number, number] => [
    Math.min(...spans.map((span) => span[of][0])),
    Math.max(...spans.map((span) => span[of][1])),
  ];
  if (spans.length === 0) return noColumns();
  const [prompt, response] = [around('prompt'), around('response')];
  const floats = await Promise.all(measured.map(async (name) => [name, await floatsOf(file, name, response)] as const));
  return {
    from: { prompt: prompt[0], response: response[0] },
    promptIds: await readInts(part(file, 'promptIds', prompt), 'promptIds'),
    ids: await readInts(part(file, 'ids', response), 'ids'),
    ...(Object.fromEntries(floats) as Record<Measured, Float32Array>),
  };
}

/** Steps written before something was measured have no such array. */
async function floatsOf(file: SafetensorsFile, name: Measured, span: [number, number]): Promise<Float32Array> {
  return file.entries.has(name) ? readFloats(part(file, name, span), name) : new Float32Array(0);
}

function noColumns(): Columns {
  const none = Object.fromEntries(measured.map((name) => [name, new Float32Array(0)])) as Record<
    Measured,
    Float32Array
  >;
  return { from: { prompt: 0, response: 0 }, promptIds: new Int32Array(0), ids: new Int32Array(0), ...none };
}

/** The file as if its array held only these elements; beyond its end there are none. */
function part(file: SafetensorsFile, name: string, [from, to]: readonly [number, number]): SafetensorsFile {
  const entry = file.entries.get(name);
  if (entry === undefined || entry.bytes !== 4 * entry.elements) return file;
  const start = Math.min(from, entry.elements);
  const elements = Math.max(0, Math.min(to, entry.elements) - start);
  const own = { ...entry, elements, shape: [elements], offset: entry.offset + 4 * start, bytes: 4 * elements };
  return { ...file, entries: new Map(file.entries).set(name, own) };
}

function thick(record: Thin, columns: Columns): TraceRecord {
  const { span, pieces, ...rest } = record;
  if (!span || !pieces) return rest;
  const own = (name: 'ids' | 'promptIds' | Measured, of: keyof Span): number[] => {
    const [from, to] = span[of];
    return [...columns[name].subarray(from - columns.from[of], to - columns.from[of])];
  };
  const has = (numbers: number[]) => numbers.length > 0 && !numbers.some(Number.isNaN);
  const optional = Object.fromEntries(
    measured
      .slice(2)
      .map((name) => [name, own(name, 'response')] as const)
      .filter(([, numbers]) => has(numbers)),
  );
  const tokens: TraceTokens = {
    promptIds: own('promptIds', 'prompt'),
    ids: own('ids', 'response'),
    pieces,
    logprobs: own('logprobs', 'response'),
    entropy: own('entropy', 'response'),
    ...optional,
  };
  const whole =
    tokens.ids.length === pieces.length &&
    tokens.logprobs.length === pieces.length &&
    tokens.promptIds.length === span.prompt[1] - span.prompt[0];
  if (!whole)
    throw new UserError(
      `The token numbers of record ${record.id} are not all there; the run's traces were damaged or changed by hand`,
    );
  return { ...rest, tokens };
}

/** A resumed run forgets what lies beyond its checkpoint. */
export async function dropTracesAfter(store: Store, run: string, step: number): Promise<void> {
  forgetRows(store, run, step + 1);
  for (const name of await store.list(paths.traces(run)))
    if (stepOf(name) > step) await store.remove(`${paths.traces(run)}/${name}`);
}
