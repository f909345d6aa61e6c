/**
 * For tests: a one-role team, questions, and an engine whose only parameter is a number that every update moves by the
 * rewards it was given, so that any difference in order, seed or checkpoint shows in what it answers.
 */
import { tmpdir } from 'node:os';
import type {
  DeviceInfo,
  EngineApi,
  GenerateRequest,
  Generation,
  SettledRecord,
  SftExample,
  SftReport,
  SftSettings,
  UpdateReport,
} from '../../engine/protocol.ts';
import type { Host } from '../controller/host.ts';
import { openNodeDownloads } from '../download/downloads.node.ts';
import { hashSeed } from '../run/seed.ts';
import { runSchema, type RunConfig } from '../schema/run.ts';
import type { Task } from '../tasks/task.ts';
import { bytesOf, textOf } from '../workspace/layout.ts';
import type { Store } from '../workspace/store.ts';
import { presetCast } from './cast.ts';

const method = { kind: 'full' } as const;
export const echoWorkflow = {
  troupe: 'workflow',
  version: 1,
  name: 'echo',
  title: 'Echo',
  roles: { solver: { title: 'Solver', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'answer' } } },
  nodes: [
    { id: 'start', kind: 'input', outputs: [{ name: 'question', type: 'text' }] },
    { id: 'solve', kind: 'role', role: 'solver', inputs: [{ name: 'question', type: 'text' }] },
    { id: 'end', kind: 'output', inputs: [{ name: 'answer', type: 'text' }] },
  ],
  edges: [
    { from: { node: 'start', port: 'question' }, to: { node: 'solve', port: 'question' } },
    { from: { node: 'solve', port: 'answer' }, to: { node: 'end', port: 'answer' } },
  ],
  rewards: { rules: [{ id: 'f1', level: 'trajectory', value: { kind: 'score', metric: 'f1' } }] },
};

/** Two roles, one after the other. */
export const twoStepWorkflow = {
  ...echoWorkflow,
  name: 'two-step',
  roles: {
    first: { title: 'First', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'draft' } },
    last: { title: 'Last', prompt: { user: '{{draft}}' }, parser: { kind: 'text', port: 'answer' } },
  },
  nodes: [
    echoWorkflow.nodes[0],
    { id: 'draft', kind: 'role', role: 'first', inputs: [{ name: 'question', type: 'text' }] },
    { id: 'say', kind: 'role', role: 'last', inputs: [{ name: 'draft', type: 'text' }] },
    echoWorkflow.nodes[2],
  ],
  edges: [
    { from: { node: 'start', port: 'question' }, to: { node: 'draft', port: 'question' } },
    { from: { node: 'draft', port: 'draft' }, to: { node: 'say', port: 'draft' } },
    { from: { node: 'say', port: 'answer' }, to: { node: 'end', port: 'answer' } },
  ],
};

export function configOf(settings: Partial<RunConfig['settings']> = {}): RunConfig {
  const bare = runSchema.parse({
    troupe: 'run',
    version: 1,
    id: 'r',
    created: '2026-01-01T00:00:00.000Z',
    title: 'Echo',
    workflow: echoWorkflow,
    cast: { name: 'x', policies: {}, roles: {} },
    task: { name: 'toy' },
    settings: { steps: 4, queries: 5, evalEvery: 2, evalLimit: 3, checkpointEvery: 2, seed: 7, ppo: {}, ...settings },
    device: { choice: 'cpu', kind: 'cpu', name: 'none' },
    software: {},
  });
  return { ...bare, cast: presetCast(bare.workflow, 'shared', 'toy', method) };
}

const questions = (from: string, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    id: `${from}${i}`,
    question: `${from} ${i}?`,
    answers: [i % 2 === 0 ? 'yes' : 'blue door'],
  }));
export const task: Task = {
  name: 'toy',
  title: 'Toy',
  description: '',
  metric: 'f1',
  train: questions('t', 7),
  heldOut: questions('h', 4),
  corpus: null,
};

/** What such an engine says it runs on. */
export const toyDevice: DeviceInfo = {
  ...{ kind: 'cpu', name: 'toy', software: false, threads: 1, features: [] },
  ...{ maxBufferBytes: null, reason: 'the only one' },
};

/** Answers "blue door" or "yes" by a draw from the request's seed and its weight, which every update moves by what it was given. */
export function toyEngine(): EngineApi {
  let weight = 0;
  const kept = new Set<string>();
  const say = (request: GenerateRequest): Generation => {
    const draw = hashSeed(request.sampling.seed, JSON.stringify(request.prompt), weight.toFixed(9)) / 2 ** 32;
    if (request.keep) kept.add(request.record);
    const text = draw < 0.5 ? 'yes' : 'blue door';
    return {
      record: request.record,
      promptIds: [1, 2],
      ids: [3, 4],
      pieces: ['x', 'y'],
      text,
      logprobs: [-draw, -0.5],
      entropy: [0.25, 0.5],
      finish: 'stop',
    };
  };
  const update = (records: readonly SettledRecord[], step: number): UpdateReport => {
    for (const { record } of records) if (!kept.delete(record)) throw new Error(`record was not kept: ${record}`);
    const sum = records.reduce((total, { reward }) => total + reward, 0);
    weight = weight * 0.9 + sum / 7 + step / 1_000;
    const tokens = records.map(({ record, reward }) => ({
      record,
      oldLogprobs: new Float32Array(2),
      newLogprobs: new Float32Array(2),
      values: new Float32Array(2),
      advantages: new Float32Array([reward, reward]),
      returns: new Float32Array(2),
    }));
    return {
      metrics: { 'losses/policy': weight, lr: Number.NaN },
      roles: { solver: { gradient: sum } },
      tokens,
      trainedTokens: 2 * records.length,
      notes: [],
      timing: { oldLogprobsMs: 0, updateMs: 0 },
    };
  };
  /** As many nats as a response has letters, and the weight moves by them. */
  const sft = async (_policy: string, examples: readonly SftExample[], settings: SftSettings): Promise<SftReport> => {
    const lengths = examples.map(({ response }) => response.length);
    const tokens = lengths.reduce((a, b) => a + b, 0);
    weight = weight * 0.9 + settings.lr * lengths.reduce((sum, length, i) => sum + length * (i + 1), 0);
    const loss = tokens / lengths.length + weight;
    return { loss, roles: { solver: { loss, tokens } }, trainedTokens: tokens, gradNorm: 1, notes: [] };
  };
  const calls = {
    sft,
    generate: async (_policy: string, requests: readonly GenerateRequest[]) => requests.map(say),
    update: async (_policy: string, records: readonly SettledRecord[], _settings: unknown, step: number) =>
      update(records, step),
    memory: async () => ({ usedBytes: 1, peakBytes: 1, parts: {} }),
    forget: async () => kept.clear(),
    /** Whatever was said, the weight itself stands as its log-probability. */
    score: async (_policy: string, items: readonly { ids: readonly number[] }[], top = 0) =>
      items.map(({ ids }) => ({
        logprobs: ids.map(() => -weight),
        entropy: ids.map(() => 0),
        ...(top > 0 ? { top: ids.map((id) => [{ id, piece: String(id), logprob: -weight }]) } : {}),
      })),
    exportPolicy: async () => [{ name: 'weight', bytes: new TextEncoder().encode(JSON.stringify(weight)) }],
    importPolicy: async (_policy: string, files: Record<string, { bytes: Uint8Array }>) => {
      weight = JSON.parse(new TextDecoder().decode(files.weight.bytes)) as number;
    },
  };
  return calls as unknown as EngineApi;
}

/** A file of questions as a person would bring it. */
export function questionLines(count: number): string {
  const line = (i: number) =>
    JSON.stringify({
      id: `q${i}`,
      question: `Question ${i}?`,
      answer: i % 2 === 0 ? 'yes' : 'blue door',
      paragraphs: [{ title: 'A', text: 'B' }],
    });
  return Array.from({ length: count }, (_, i) => line(i)).join('\n');
}

/** Real downloads, which ask nothing of anybody until they are told to. */
export function downloadsInto(store: Store): Host['downloads'] {
  return (onDownload) => openNodeDownloads({ store, folder: tmpdir(), onDownload });
}

/** A workspace in memory, for tests of many small writes. */
export function memoryStore(): Store {
  const files = new Map<string, Uint8Array>();
  const read = (path: string): Uint8Array => {
    const bytes = files.get(path);
    if (!bytes) throw new Error(`no such file: ${path}`);
    return bytes;
  };
  const under = (path: string) => [...files.keys()].filter((file) => file === path || file.startsWith(`${path}/`));
  return {
    read: async (path) => read(path),
    readRange: async (path, offset, length) => read(path).subarray(offset, offset + length),
    write: async (path, bytes) => void files.set(path, bytes.slice()),
    append: async (path, line) =>
      void files.set(path, bytesOf(`${textOf(files.get(path) ?? new Uint8Array())}${line}\n`)),
    extend: async (path, bytes) => void files.set(path, Uint8Array.from([...(files.get(path) ?? []), ...bytes])),
    list: async (path) => {
      const names = under(path).map((file) => file.slice(path.length + 1).replace(/\/.*/s, '/'));
      return [...new Set(names)].sort();
    },
    stat: async (path) => (files.has(path) ? { size: read(path).length, modifiedMs: 0 } : null),
    remove: async (path) => under(path).forEach((file) => files.delete(file)),
    // Whoever asks is the same process.
    claim: async () => true,
    release: async () => {},
    move: async (from, to) => {
      for (const file of under(to)) files.delete(file);
      for (const file of under(from)) {
        files.set(`${to}${file.slice(from.length)}`, read(file));
        files.delete(file);
      }
    },
  };
}
