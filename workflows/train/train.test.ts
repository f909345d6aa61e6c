/** The loop against an engine whose only parameter is a number: whatever interrupts it, the numbers come out the same. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EngineApi, GenerateRequest, Generation, SettledRecord, UpdateReport } from '../../engine/protocol.ts';
import { hashSeed } from '../run/seed.ts';
import { runSchema, type RunConfig, type StepMetrics } from '../schema/run.ts';
import type { Task } from '../tasks/task.ts';
import { listCheckpoints, readMetrics } from '../workspace/runs.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import type { Store } from '../workspace/store.ts';
import { listTraces, readTrace } from '../workspace/traces.ts';
import { presetCast } from './cast.ts';
import { train, type Wish } from './train.ts';

const method = { kind: 'full' } as const;
const workflow = {
  troupe: 'workflow', version: 1, name: 'echo', title: 'Echo',
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

function configOf(settings: Partial<RunConfig['settings']> = {}): RunConfig {
  const bare = runSchema.parse({
    troupe: 'run', version: 1, id: 'r', created: '2026-01-01T00:00:00.000Z', title: 'Echo', workflow,
    cast: { name: 'x', policies: {}, roles: {} }, task: { name: 'toy' },
    settings: { steps: 4, queries: 5, evalEvery: 2, evalLimit: 3, checkpointEvery: 2, seed: 7, ppo: {}, ...settings },
    device: { choice: 'cpu', kind: 'cpu', name: 'none' }, software: {},
  });
  return { ...bare, cast: presetCast(bare.workflow, 'shared', 'toy', method) };
}

const questions = (from: string, count: number) => Array.from({ length: count }, (_, i) => ({ id: `${from}${i}`, question: `${from} ${i}?`, answers: [i % 2 === 0 ? 'yes' : 'blue door'] }));
const task: Task = { name: 'toy', title: 'Toy', description: '', metric: 'f1', train: questions('t', 7), heldOut: questions('h', 4), corpus: null };

/** Answers "blue door" or "yes" by a draw from the request's seed and its weight, which every update moves by what it was given. */
function toyEngine(): EngineApi {
  let weight = 0;
  const kept = new Set<string>();
  const say = (request: GenerateRequest): Generation => {
    const draw = hashSeed(request.sampling.seed, JSON.stringify(request.prompt), weight.toFixed(9)) / 2 ** 32;
    if (request.keep) kept.add(request.record);
    const text = draw < 0.5 ? 'yes' : 'blue door';
    return { record: request.record, promptIds: [1, 2], ids: [3, 4], pieces: ['x', 'y'], text, logprobs: [-draw, -0.5], entropy: [0.25, 0.5], finish: 'stop' };
  };
  const update = (records: readonly SettledRecord[], step: number): UpdateReport => {
    for (const { record } of records) if (!kept.delete(record)) throw new Error(`record was not kept: ${record}`);
    const sum = records.reduce((total, { reward }) => total + reward, 0);
    weight = weight * 0.9 + sum / 7 + step / 1_000;
    const tokens = records.map(({ record, reward }) => ({ record, oldLogprobs: new Float32Array(2), values: new Float32Array(2), advantages: new Float32Array([reward, reward]), returns: new Float32Array(2) }));
    return { metrics: { 'losses/policy': weight, lr: Number.NaN }, roles: { solver: { gradient: sum } }, tokens, trainedTokens: 2 * records.length, notes: [], timing: { oldLogprobsMs: 0, updateMs: 0 } };
  };
  const calls = {
    generate: async (_policy: string, requests: readonly GenerateRequest[]) => requests.map(say),
    update: async (_policy: string, records: readonly SettledRecord[], _settings: unknown, step: number) => update(records, step),
    forget: async () => kept.clear(),
    exportPolicy: async () => [{ name: 'weight', bytes: new TextEncoder().encode(JSON.stringify(weight)) }],
    importPolicy: async (_policy: string, files: Record<string, { bytes: Uint8Array }>) => {
      weight = JSON.parse(new TextDecoder().decode(files.weight.bytes)) as number;
    },
  };
  return calls as unknown as EngineApi;
}

class Killed extends Error {}

/** A disk whose process dies at the n-th change; a line being appended is left half written. */
function dyingStore(store: Store, changes: number): Store {
  let left = changes;
  const change = <A extends unknown[]>(work: (...args: A) => Promise<void>) => async (...args: A): Promise<void> => {
    if (left === 0) throw new Killed();
    left -= 1;
    await work(...args);
  };
  const append = async (file: string, line: string): Promise<void> => {
    if (left > 0) {
      left -= 1;
      return store.append(file, line);
    }
    const before = (await store.stat(file)) ? await store.read(file) : new Uint8Array();
    await store.write(file, new Uint8Array([...before, ...new TextEncoder().encode(line.slice(0, line.length / 2))]));
    throw new Killed();
  };
  return { ...store, write: change(store.write), remove: change(store.remove), move: change(store.move), append };
}

const bare = (lines: StepMetrics[]) => lines.map(({ timing: _, ...rest }) => rest);

describe('the training loop', () => {
  let folder: string;
  const open = (name: string) => openNodeStore(path.join(folder, name));
  const go = (store: Store, config = configOf(), wish: () => Wish = () => 'go', onStep: (metrics: StepMetrics) => void = () => {}) =>
    train({ config, task, engine: toyEngine(), store, hooks: { wish, onProgress: () => {}, onStep } });

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-train-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('evaluates before the first step, every k steps and at the end', async () => {
    const store = open('a');
    expect(await go(store, configOf({ steps: 5 }))).toEqual({ outcome: 'done', step: 5 });
    const lines = await readMetrics(store, 'r');
    expect(lines.map(({ step }) => step)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(lines.filter((line) => line.eval).map(({ step }) => step)).toEqual([0, 2, 4, 5]);
    expect(lines[0].eval?.n).toBe(3);
    expect(lines[3].roles.solver).toMatchObject({ records: 5, legal: 1, length: 2 });
    expect(lines[3].policies.team).toHaveProperty(['losses/policy']);
    expect(lines[3].policies.team).not.toHaveProperty('lr'); // NaN is no JSON
  });

  it('keeps each step’s traces, with what the update made of their tokens', async () => {
    const store = open('a');
    await go(store);
    const { total, rows } = await listTraces(store, 'r', { step: 2, phase: 'train' });
    expect(total).toBe(5);
    const trace = await readTrace(store, 'r', rows[0].id);
    const record = trace.records.find(({ kind }) => kind === 'role')!;
    expect(record.tokens?.ids).toEqual([3, 4]);
    expect(record.tokens?.advantages?.[0]).toBeCloseTo(record.reward!, 6);
    expect((await listTraces(store, 'r', { step: 2, phase: 'eval' })).total).toBe(3);
  });

  it('ends with the same lines wherever it was killed and resumed', async () => {
    const whole = open('whole');
    await go(whole);
    const expected = bare(await readMetrics(whole, 'r'));
    const expectedTraces = await listTraces(whole, 'r', {});
    let deaths = 0;
    for (let changes = 0; ; changes++) {
      const store = open(`killed-${changes}`);
      const died = await go(dyingStore(store, changes)).then(() => false, (error: unknown) => {
        if (error instanceof Killed) return true;
        throw error;
      });
      if (!died) break;
      deaths += 1;
      await go(store);
      expect(bare(await readMetrics(store, 'r')), `killed at change ${changes}`).toEqual(expected);
      expect(await listTraces(store, 'r', {}), `killed at change ${changes}`).toEqual(expectedTraces);
    }
    expect(deaths).toBeGreaterThan(20);
  }, 60_000);

  it('pauses with everything on disk and goes on to the same numbers', async () => {
    const whole = open('whole');
    await go(whole);
    const store = open('paused');
    let wish: Wish = 'go';
    const end = await go(store, configOf(), () => wish, ({ step }) => {
      if (step === 3) wish = 'pause';
    });
    expect(end).toEqual({ outcome: 'paused', step: 3 });
    expect((await listCheckpoints(store, 'r')).at(-1)).toBe(3);
    expect(await go(store)).toEqual({ outcome: 'done', step: 4 });
    expect(bare(await readMetrics(store, 'r'))).toEqual(bare(await readMetrics(whole, 'r')));
  });

  it('sets a step aside when the pause comes in the middle of its rollout', async () => {
    const whole = open('whole');
    await go(whole);
    const store = open('paused');
    let asked = 0;
    const end = await go(store, configOf(), () => (++asked >= 12 ? 'pause' : 'go'));
    expect(end.outcome).toBe('paused');
    expect(await go(store)).toEqual({ outcome: 'done', step: 4 });
    expect(bare(await readMetrics(store, 'r'))).toEqual(bare(await readMetrics(whole, 'r')));
  });

  it('stops when asked and keeps what was learned', async () => {
    const store = open('a');
    let wish: Wish = 'go';
    const end = await go(store, configOf(), () => wish, ({ step }) => {
      if (step === 1) wish = 'stop';
    });
    expect(end).toEqual({ outcome: 'stopped', step: 1 });
    expect((await listCheckpoints(store, 'r')).at(-1)).toBe(1);
  });

  it('keeps the newest and the best checkpoint alone', async () => {
    const store = open('a');
    await go(store, configOf({ steps: 8, checkpointEvery: 1 }));
    const lines = await readMetrics(store, 'r');
    const trained = lines.filter((line) => line.step > 0 && line.eval);
    const best = trained.reduce((a, b) => (b.eval!.f1 > a.eval!.f1 ? b : a));
    expect(await listCheckpoints(store, 'r')).toEqual([...new Set([best.step, 8])]);
  });
});
