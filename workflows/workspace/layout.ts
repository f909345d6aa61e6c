/** Where things stand in a workspace. One place for every path, so that the format can be read off one screen. */
export const paths = {
  workflow: (name: string) => `workflows/${name}.troupe.json`,
  models: () => 'models',
  model: (name: string) => `models/${name}`,
  runs: () => 'runs',
  run: (id: string) => `runs/${id}`,
  config: (id: string) => `runs/${id}/run.json`,
  state: (id: string) => `runs/${id}/state.json`,
  metrics: (id: string) => `runs/${id}/metrics.jsonl`,
  traces: (id: string) => `runs/${id}/traces`,
  traceLines: (id: string, step: number) => `runs/${id}/traces/${number(step)}.jsonl`,
  traceTokens: (id: string, step: number) => `runs/${id}/traces/${number(step)}.tokens.safetensors`,
  traceIndex: (id: string, step: number) => `runs/${id}/traces/${number(step)}.index.json`,
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

export function parseJson(bytes: Uint8Array): unknown {
  return JSON.parse(decoder.decode(bytes));
}

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}
