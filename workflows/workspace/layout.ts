import { UserError } from '../../engine/errors.ts';

/** Where things stand in a workspace. One place for every path, so that the format can be read off one screen. */
export const paths = {
  workflow: (name: string) => `workflows/${name}.troupe.json`,
  models: () => 'models',
  model: (name: string) => `models/${name}`,
  runs: () => 'runs',
  run: (id: string) => `runs/${id}`,
  config: (id: string) => `runs/${id}/run.json`,
  state: (id: string) => `runs/${id}/state.json`,
  /** Held by the process that trains the run. */
  claim: (id: string) => `runs/${id}/training`,
  metrics: (id: string) => `runs/${id}/metrics.jsonl`,
  traces: (id: string) => `runs/${id}/traces`,
  traceLines: (id: string, step: number) => `runs/${id}/traces/${number(step)}.jsonl`,
  traceTokens: (id: string, step: number) => `runs/${id}/traces/${number(step)}.tokens.safetensors`,
  traceIndex: (id: string, step: number) => `runs/${id}/traces/${number(step)}.index.json`,
  forks: (id: string) => `runs/${id}/forks`,
  fork: (id: string, step: number, fork: number) => `runs/${id}/forks/${number(step)}-${number(fork)}.json`,
  /** Indexes of large corpora, by the hash of the corpus. */
  indexes: () => 'indexes',
  study: (name: string) => `studies/${name}`,
  studyCells: (name: string) => `studies/${name}/cells.json`,
  checkpoints: (id: string) => `runs/${id}/checkpoints`,
  checkpoint: (id: string, step: number) => `runs/${id}/checkpoints/${number(step)}`,
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

/** The JSON of a file; one that is damaged is a UserError that names it. */
export function parseJson(bytes: Uint8Array, name: string): unknown {
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
  const parsed = schema.safeParse(parseJson(bytes, name));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UserError(
    `${name} cannot be read: ${issue.path.map(String).join('.') || 'its content'} ${issue.message}; was it damaged, or written by a newer version?`,
  );
}

type Issue = { readonly path: readonly PropertyKey[]; readonly message: string };

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}
