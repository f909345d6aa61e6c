import { UserError } from '../../engine/errors.ts';
import { placeOf, reasonOf } from '../schema/migrate.ts';
import type { Store } from './store.ts';

/** Stands where a run's id would for questions asked one by one; no run's id begins with a hyphen. */
export const QUESTIONS = '-questions';

const runFolder = (id: string): string => (id === QUESTIONS ? 'questions' : `runs/${id}`);

/** Where things stand in a workspace. One place for every path, so that the format can be read off one screen. */
export const paths = {
  workflow: (name: string) => `workflows/${name}.troupe.json`,
  models: () => 'models',
  model: (name: string) => `models/${name}`,
  runs: () => 'runs',
  run: runFolder,
  config: (id: string) => `${runFolder(id)}/run.json`,
  state: (id: string) => `${runFolder(id)}/state.json`,
  /** Held by the process that trains the run. */
  claim: (id: string) => `${runFolder(id)}/training`,
  metrics: (id: string) => `${runFolder(id)}/metrics.jsonl`,
  traces: (id: string) => `${runFolder(id)}/traces`,
  traceLines: (id: string, step: number) => `${runFolder(id)}/traces/${number(step)}.jsonl`,
  traceTokens: (id: string, step: number) => `${runFolder(id)}/traces/${number(step)}.tokens.safetensors`,
  traceIndex: (id: string, step: number) => `${runFolder(id)}/traces/${number(step)}.index.json`,
  /** The indexes of up to 64 steps that end with this one. */
  traceBlock: (id: string, step: number) => `${runFolder(id)}/traces/${number(step)}.block.json`,
  forks: (id: string) => `${runFolder(id)}/forks`,
  fork: (id: string, step: number, fork: number) => `${runFolder(id)}/forks/${number(step)}-${number(fork)}.json`,
  /** Notes and tags on traces, one line a change. */
  notes: (id: string) => `${runFolder(id)}/notes.jsonl`,
  /** What a single question was asked with. */
  asked: (question: number) => `questions/asked/${number(question)}.json`,
  /** Indexes of large corpora, by the hash of the corpus. */
  indexes: () => 'indexes',
  study: (name: string) => `studies/${name}`,
  studyCells: (name: string) => `studies/${name}/cells.json`,
  checkpoints: (id: string) => `${runFolder(id)}/checkpoints`,
  checkpoint: (id: string, step: number) => `${runFolder(id)}/checkpoints/${number(step)}`,
} as const;

/** Six digits, so that names sort as numbers. */
function number(step: number): string {
  return String(step).padStart(6, '0');
}

export function stepOf(fileName: string): number {
  return Number.parseInt(fileName, 10);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function jsonBytes(value: unknown): Uint8Array {
  return encoder.encode(`${JSON.stringify(value, null, 2)}\n`);
}

/** Files a person or a stranger may have written are refused above this, so that one of them cannot fill the memory. */
const JSON_MAX_BYTES = 64 * 1024 * 1024;

/** A small file of the workspace; one of impossible size is a UserError. */
export async function readSmall(store: Pick<Store, 'stat' | 'read'>, path: string): Promise<Uint8Array> {
  const size = (await store.stat(path))?.size ?? 0;
  if (size > JSON_MAX_BYTES)
    throw new UserError(
      `${path} is too large to be one of Troupe's files: ${size} bytes; at most ${JSON_MAX_BYTES} are read`,
    );
  return store.read(path);
}

/** The JSON of a file; one that is damaged is a UserError that names it. */
function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch {
    throw new UserError(`Not JSON: ${name}; it was damaged or changed by hand`);
  }
}

/** JSON of a workspace file, checked against its schema. */
export function parseAs<T>(
  schema: {
    safeParse(value: unknown): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
  },
  bytes: Uint8Array,
  name: string,
): T {
  const parsed = safely(() => schema.safeParse(parseJson(bytes, name)), name);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UserError(
    `${name} cannot be read: it does not fit at ${placeOf(issue)} (${reasonOf(issue)}); was it damaged, or written by a newer version?`,
  );
}

/** Reads a file with a reader of its format, and names the file in what the reader complains about. */
export function readAs<T>(read: (json: unknown) => T, bytes: Uint8Array, name: string): T {
  const json = parseJson(bytes, name);
  try {
    return safely(() => read(json), name);
  } catch (error) {
    throw error instanceof UserError && !error.message.startsWith(name)
      ? new UserError(`${name}: ${error.message}`)
      : error;
  }
}

/** A schema walks a value by recursion, which nesting deep enough exhausts. */
function safely<T>(work: () => T, name: string): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`${name} is nested too deep; it was not written by Troupe`);
    throw error;
  }
}

type Issue = { readonly path: readonly PropertyKey[]; readonly message: string };

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}
