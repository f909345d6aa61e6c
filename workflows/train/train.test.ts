/** The loop against an engine whose only parameter is a number: whatever interrupts it, the numbers come out the same. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tuneSchema, type StepMetrics } from '../schema/run.ts';
import { listCheckpoints, readMetrics } from '../workspace/runs.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import type { Store } from '../workspace/store.ts';
import { listTraces } from '../workspace/trace-index.ts';
import { readTrace } from '../workspace/traces.ts';
import { configOf, task, toyEngine } from './test-support.ts';
import { train, type Wish } from './train.ts';

const engineSft = {
  lr: 1e-3,
  lrWarmup: 0,
  lrDecay: 'constant',
  totalSteps: 3,
  weightDecay: 0,
  maxGradNorm: 1,
  tokenBudget: 64,
};

class Killed extends Error {}

/** A disk whose process dies at the n-th change; a line being appended is left half written. */
function dyingStore(store: Store, changes: number): Store {
  let left = changes;
  const change =
    <A extends unknown[]>(work: (...args: A) => Promise<void>) =>
    async (...args: A): Promise<void> => {
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
  const go = (
    store: Store,
    config = configOf(),
    wish: () => Wish = () => 'go',
    onStep: (metrics: StepMetrics) => void = () => {},
  ) => train({ config, task, engine: toyEngine(), store, hooks: { wish, onProgress: () => {}, onStep } });

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

  describe('in rounds of fine-tuning on what went well', () => {
    const rounds = (sft: object = {}) =>
      configOf({ steps: 3, samples: 2, sft: tuneSchema.parse({ ...engineSft, minScore: 0.5, batch: 3, ...sft }) });

    it('imitates what scored, role by role, and says how it went in the same lines', async () => {
      const store = open('a');
      await go(store, rounds());
      const lines = await readMetrics(store, 'r');
      expect(lines.map(({ step }) => step)).toEqual([0, 1, 2, 3]);
      for (const { step, policies, roles } of lines.slice(1)) {
        const { rows } = await listTraces(store, 'r', { step, phase: 'train' });
        const good = await Promise.all(rows.filter(({ f1 }) => f1 >= 0.5).map(({ id }) => readTrace(store, 'r', id)));
        const said = new Set(good.map(({ query, records }) => `${query.id} ${records.find(({ text }) => text)?.text}`));
        expect(policies.team).toMatchObject({ 'sft/examples': said.size, 'sft/steps': 2 * Math.ceil(said.size / 3) });
        expect(roles.solver).toMatchObject({ 'sft/examples': said.size, records: 10 });
        expect(policies.team).toHaveProperty(['losses/sft']);
      }
    });

    it('says when there is nothing to imitate, and leaves the policy alone', async () => {
      const store = open('a');
      await go(store, rounds({ minReward: 7 }));
      const lines = await readMetrics(store, 'r');
      expect(lines[1].notes).toEqual([
        expect.stringMatching(/nothing to learn from in this round: .*minScore 0.5, best trace 1.00/),
      ]);
      expect(lines[1].policies.team).toEqual({ 'sft/examples': 0 });
    });

    it('ends with the same lines wherever it was killed and resumed', async () => {
      const whole = open('whole');
      await go(whole, rounds());
      const expected = bare(await readMetrics(whole, 'r'));
      for (const changes of [3, 7, 12]) {
        const store = open(`killed-${changes}`);
        await go(dyingStore(store, changes), rounds()).catch((error: unknown) => {
          if (!(error instanceof Killed)) throw error;
        });
        await go(store, rounds());
        expect(bare(await readMetrics(store, 'r'))).toEqual(expected);
      }
    });
  });

  it('ends with the same lines wherever it was killed and resumed', async () => {
    const whole = open('whole');
    await go(whole);
    const expected = bare(await readMetrics(whole, 'r'));
    const expectedTraces = await listTraces(whole, 'r', {});
    let deaths = 0;
    for (let changes = 0; ; changes++) {
      const store = open(`killed-${changes}`);
      const died = await go(dyingStore(store, changes)).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Killed) return true;
          throw error;
        },
      );
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
    const end = await go(
      store,
      configOf(),
      () => wish,
      ({ step }) => {
        if (step === 3) wish = 'pause';
      },
    );
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
    const end = await go(
      store,
      configOf(),
      () => wish,
      ({ step }) => {
        if (step === 1) wish = 'stop';
      },
    );
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
