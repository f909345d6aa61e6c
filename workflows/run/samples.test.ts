import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { task, twoStepWorkflow } from '../train/test-support.ts';
import { presetCast } from '../train/cast.ts';
import { parseWorkflow } from '../schema/migrate.ts';
import type { Trace } from '../schema/trace.ts';
import { runBestBranches, type Tried } from './best-branches.ts';
import { runBatch, type RunBatch } from './runner.ts';
import { learnsFrom, sampleSeed, samplesOf } from './samples.ts';

describe('samples of one question', () => {
  it('are independent from the first call, or branch at each call in turn', () => {
    expect(samplesOf(2, false, 3)).toEqual([{ index: 0 }, { index: 1 }]);
    expect(samplesOf(4, true, 2)).toEqual([
      { index: 0, branches: 2 },
      { index: 1, branches: 2, branchAt: 0 },
      { index: 2, branches: 2, branchAt: 1 },
      { index: 3, branches: 2, branchAt: 0 },
    ]);
    expect(() => samplesOf(2, true, 2)).toThrow(UserError);
    expect(() => samplesOf(2, true, 2)).toThrow('2 samples a question are too few; use at least 3');
  });

  it('keep the trunk’s seeds until they branch, and teach at the branch alone', () => {
    const [trunk, first, second] = samplesOf(3, true, 2);
    const seeds = (sample: typeof trunk) => [7, 8, 9].map((seed, call) => sampleSeed(seed, sample, call));
    expect(seeds(trunk)).toEqual([7, 8, 9]);
    expect(seeds(second)[0]).toBe(7);
    expect(new Set([...seeds(trunk), ...seeds(first), ...seeds(second).slice(1)]).size).toBe(8);
    const learns = (sample: typeof trunk) => [0, 1, 2].map((call) => learnsFrom(sample, call));
    expect([trunk, first, second].map(learns)).toEqual([
      [true, true, false],
      [true, false, false],
      [false, true, false],
    ]);
    expect(learnsFrom({ index: 1 }, 5)).toBe(true);
  });
});

describe('a batch with samples', () => {
  const workflow = parseWorkflow(twoStepWorkflow);
  const cast = presetCast(workflow, 'shared', 'toy', { kind: 'full' });
  const kept: string[] = [];
  const run = (more: Partial<RunBatch>): Promise<Trace[]> =>
    runBatch({
      workflow,
      cast,
      queries: task.train.slice(0, 2),
      task,
      phase: 'train',
      step: 3,
      seed: 5,
      // What is said is the seed it was said with.
      generate: async (_, requests) =>
        requests.map(({ record, sampling, keep }) => {
          if (keep) kept.push(record);
          return {
            record,
            promptIds: [1],
            ids: [2],
            pieces: ['x'],
            text: `${sampling.seed}`,
            logprobs: [-1],
            entropy: [0],
            finish: 'stop',
          };
        }),
      ...more,
    });
  const texts = (trace: Trace) => trace.records.flatMap((record) => record.text ?? []);

  it('runs every question n times under names of their own, the first as if alone', async () => {
    const alone = await run({});
    const traces = await run({ samples: 3 });
    expect(traces.map(({ id }) => id)).toEqual([
      '3-train-t0',
      '3-train-t0~1',
      '3-train-t0~2',
      '3-train-t1',
      '3-train-t1~1',
      '3-train-t1~2',
    ]);
    expect(texts(traces[0])).toEqual(texts(alone[0]));
    expect(new Set(traces.map((trace) => texts(trace)[0])).size).toBe(6);
  });

  it('branches where it should, and keeps only what is learned from', async () => {
    kept.length = 0;
    const [trunk, first, second] = await run({ samples: 3, branch: true, queries: task.train.slice(0, 1) });
    expect(texts(first)[0]).not.toBe(texts(trunk)[0]);
    expect(texts(second)[0]).toBe(texts(trunk)[0]);
    expect(texts(second)[1]).not.toBe(texts(trunk)[1]);
    expect(kept.sort()).toEqual([
      '3-train-t0/draft#0',
      '3-train-t0/say#0',
      '3-train-t0~1/draft#0',
      '3-train-t0~2/say#0',
    ]);
    expect(second.records.map(({ trainable }) => trainable)).toEqual([false, false, true, false]);
    await expect(run({ samples: 2, branch: true })).rejects.toThrow('use at least 3');
  });

  it('goes on from whatever earned most, and compares what has the same behind it', async () => {
    kept.length = 0;
    // A call earns what its seed is: the largest wins.
    const settle = async (trace: Trace): Promise<Trace> => ({
      ...trace,
      records: trace.records.map((record) =>
        record.text === undefined ? record : { ...record, reward: Number(record.text) },
      ),
    });
    const traces = await run({ samples: 5, branch: 'best', settle, queries: task.train.slice(0, 2) });
    expect(traces.map(({ id }) => id.slice(-4))).toEqual(['n-t0', 't0~1', 't0~2', 't0~3', 't0~4', 'n-t1', 't1~1', 't1~2', 't1~3', 't1~4']); // prettier-ignore
    for (const own of [traces.slice(0, 5), traces.slice(5)]) {
      const [drafts, says] = [0, 1].map((call) => own.map((trace) => texts(trace)[call]));
      const best = drafts.slice(0, 3).indexOf(`${Math.max(...drafts.slice(0, 3).map(Number))}`);
      expect(new Set(drafts.slice(0, 3)).size).toBe(3);
      expect(drafts.slice(3)).toEqual([drafts[best], drafts[best]]);
      expect(new Set(says).size).toBe(5);
      const learned = own.map(({ records }) => records.filter(({ trainable }) => trainable).map(({ node }) => node));
      const wins = (place: number) => (place === best ? ['draft', 'say'] : ['draft']);
      expect(learned).toEqual([wins(0), wins(1), wins(2), ['say'], ['say']]);
      for (const { id, records } of own)
        for (const record of records) if (record.trainable) expect(kept).toContain(`${id}/${record.id}`);
    }
    await expect(run({ samples: 2, branch: 'best', settle })).rejects.toThrow('use at least 3');
  });

  it('stops branching where the best has ended, and passes over what was dropped', async () => {
    const wanted: number[] = [];
    const tried = (reward: number | undefined, called: string[]): Tried => ({
      called,
      trace: { records: called.map((id) => ({ id, trainable: true, reward })) } as unknown as Trace,
    });
    const given = [tried(undefined, ['a']), tried(-3, ['a']), tried(undefined, ['a', 'b'])];
    const traces = await runBestBranches({ questions: 1, samples: 5, calls: 2 }, async (asked) => {
      wanted.push(asked.length);
      return given.slice(0, asked.length);
    });
    expect(wanted).toEqual([3, 0]);
    expect(traces.map(({ records }) => records.map(({ trainable }) => trainable))).toEqual([
      [true],
      [true],
      [true, false],
    ]);
  });
});
