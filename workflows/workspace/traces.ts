/**
 * Traces on disk: per step one file of thin traces (JSON lines), one safetensors file with the token-level numbers of all
 * their records end to end, and an index for lists, with each trace's place in the lines. A list reads indexes alone; a
 * trace reads its own bytes. Each file is written whole, once the step is over.
 */
import { z } from 'zod';
import { openSafetensors, readFloats, readInts, type SafetensorsFile } from '../../engine/formats/safetensors.ts';
import { writeSafetensors } from '../../engine/formats/safetensors-write.ts';
import { UserError } from '../../engine/errors.ts';
import type { TraceFilter, TraceSummary } from '../protocol.ts';
import { recordSchema, traceSchema, type Trace, type TraceRecord, type TraceTokens } from '../schema/trace.ts';
import { bytesOf, jsonBytes, parseAs, paths, stepOf, textOf } from './layout.ts';
import type { Store } from './store.ts';
import { page, passes, summarise } from './trace-list.ts';

const placeSchema = z.object({
  offset: z.int().min(0),
  length: z
    .int()
    .min(0)
    .max(2 ** 30),
});
const rowSchema = z.object({
  id: z.string(),
  step: z.int(),
  phase: z.enum(['train', 'eval', 'run']),
  question: z.string(),
  answer: z.string(),
  status: z.enum(['done', 'dropped']),
  f1: z.number(),
  em: z.number(),
  reward: z.number(),
  legal: z.boolean(),
  place: placeSchema,
});
const indexSchema = z.array(rowSchema);
type IndexRow = TraceSummary & { place: z.infer<typeof placeSchema> };

/** In a thin record, where its tokens stand in the step's arrays. */
const range = z.tuple([z.int().min(0), z.int().min(0)]);
const thinSchema = recordSchema
  .omit({ tokens: true })
  .extend({ span: z.object({ prompt: range, response: range }).optional(), pieces: z.array(z.string()).optional() });
const storedSchema = traceSchema.extend({ records: z.array(thinSchema) });
type Thin = z.infer<typeof thinSchema>;
type Span = NonNullable<Thin['span']>;

const measured = ['logprobs', 'entropy', 'oldLogprobs', 'values', 'advantages', 'returns'] as const;

export async function writeTraces(store: Store, run: string, step: number, traces: readonly Trace[]): Promise<void> {
  const kept = collect(traces);
  const lines = kept.thin.map((trace) => bytesOf(`${JSON.stringify(trace)}\n`));
  let offset = 0;
  const index = traces.map((trace, i): IndexRow => {
    const place = { offset, length: lines[i].length };
    offset += place.length;
    return { ...summarise(trace), place };
  });
  await store.write(paths.traceTokens(run, step), tokenFile(kept));
  await store.write(paths.traceLines(run, step), joined(lines));
  await store.write(paths.traceIndex(run, step), jsonBytes(index));
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

type Kept = { thin: object[]; promptIds: number[]; ids: number[]; arrays: Record<(typeof measured)[number], number[]> };

function collect(traces: readonly Trace[]): Kept {
  const kept: Kept = {
    thin: [],
    promptIds: [],
    ids: [],
    arrays: { logprobs: [], entropy: [], oldLogprobs: [], values: [], advantages: [], returns: [] },
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

async function indexOf(store: Store, run: string, step: number): Promise<IndexRow[]> {
  return parseAs(indexSchema, await store.read(paths.traceIndex(run, step)), paths.traceIndex(run, step));
}

/** Newest step first. */
export async function listTraces(
  store: Store,
  run: string,
  filter: TraceFilter,
): Promise<{ total: number; rows: TraceSummary[] }> {
  const steps = await traceSteps(store, run);
  const wanted = steps.filter((step) => filter.step === undefined || step === filter.step).reverse();
  const rows: TraceSummary[] = [];
  for (const step of wanted)
    for (const { place: _, ...row } of await indexOf(store, run, step)) if (passes(row, filter)) rows.push(row);
  return page(rows, filter);
}

export async function traceSteps(store: Store, run: string): Promise<number[]> {
  const names = await store.list(paths.traces(run));
  return names.filter((name) => /^\d+\.index\.json$/.test(name)).map(stepOf);
}

export async function readTrace(store: Store, run: string, id: string): Promise<Trace> {
  const step = stepOf(id);
  const index = (await traceSteps(store, run)).includes(step) ? await indexOf(store, run, step) : [];
  const row = index.find((each) => each.id === id);
  if (!row) throw new UserError(`No such trace in run ${run}: ${id}; list them first`);
  const line = await store.readRange(paths.traceLines(run, step), row.place.offset, row.place.length);
  const stored = parseAs(storedSchema, line, paths.traceLines(run, step));
  const columns = await readColumns(await openTokens(store, paths.traceTokens(run, step)));
  return { ...stored, records: stored.records.map((record) => thick(record, columns)) };
}

/** All traces of a step, without their token numbers. */
export async function readThinTraces(store: Store, run: string, step: number): Promise<Trace[]> {
  const name = paths.traceLines(run, step);
  const lines = textOf(await store.read(name))
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => {
    const { records, ...rest } = parseAs(storedSchema, bytesOf(line), name);
    return { ...rest, records: records.map(({ span: _, pieces: __, ...record }) => record) };
  });
}

async function openTokens(store: Store, path: string): Promise<SafetensorsFile> {
  const size = (await store.stat(path))?.size ?? 0;
  return openSafetensors({ name: path, size, read: (offset, length) => store.readRange(path, offset, length) });
}

type Columns = { promptIds: Int32Array; ids: Int32Array } & Record<(typeof measured)[number], Float32Array>;

async function readColumns(file: SafetensorsFile): Promise<Columns> {
  const floats = await Promise.all(measured.map(async (name) => [name, await readFloats(file, name)] as const));
  return {
    promptIds: await readInts(file, 'promptIds'),
    ids: await readInts(file, 'ids'),
    ...(Object.fromEntries(floats) as Record<(typeof measured)[number], Float32Array>),
  };
}

function thick(record: Thin, columns: Columns): TraceRecord {
  const { span, pieces, ...rest } = record;
  if (!span || !pieces) return rest;
  const part = (name: (typeof measured)[number]) => [...columns[name].subarray(...span.response)];
  const has = (numbers: number[]) => numbers.length > 0 && !numbers.some(Number.isNaN);
  const optional = Object.fromEntries(
    measured
      .slice(2)
      .map((name) => [name, part(name)] as const)
      .filter(([, numbers]) => has(numbers)),
  );
  const tokens: TraceTokens = {
    promptIds: [...columns.promptIds.subarray(...span.prompt)],
    ids: [...columns.ids.subarray(...span.response)],
    pieces,
    logprobs: part('logprobs'),
    entropy: part('entropy'),
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
  for (const name of await store.list(paths.traces(run)))
    if (stepOf(name) > step) await store.remove(`${paths.traces(run)}/${name}`);
}
