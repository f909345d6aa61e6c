import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StepMetrics } from '../schema/run.ts';
import { configOf } from '../train/test-support.ts';
import { bytesOf, paths } from './layout.ts';
import {
  appendMetrics,
  checkpointStep,
  listCheckpoints,
  policyFiles,
  pruneCheckpoints,
  readCheckpoint,
  readMetrics,
  readRun,
  readState,
  truncateMetrics,
  writeCheckpoint,
} from './runs.ts';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';

const line = (step: number): StepMetrics => ({
  step,
  rollout: { f1: 0.5 },
  roles: {},
  policies: {},
  notes: [],
  timing: { at: 1 },
});
const weight = async (policy: string) => [{ name: 'w', bytes: bytesOf(policy) }];

describe('runs on disk', () => {
  let folder: string;
  let store: Store;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-runs-'));
    store = openNodeStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('keep metrics line by line and cut them back to a step', async () => {
    for (const step of [0, 1, 2, 3]) await appendMetrics(store, 'r', line(step));
    expect((await truncateMetrics(store, 'r', 1)).map(({ step }) => step)).toEqual([0, 1]);
    await appendMetrics(store, 'r', line(2));
    expect((await readMetrics(store, 'r')).map(({ step }) => step)).toEqual([0, 1, 2]);
  });

  it('read metrics whose last line a crash cut off', async () => {
    await appendMetrics(store, 'r', line(0));
    await store.write(paths.metrics('r'), bytesOf(`${JSON.stringify(line(0))}\n{"step":1,"roll`));
    expect((await readMetrics(store, 'r')).map(({ step }) => step)).toEqual([0]);
  });

  it('count a checkpoint only once it is whole', async () => {
    await writeCheckpoint(store, 'r', { step: 2, policies: ['a', 'b'], best: null }, weight);
    await store.write('runs/r/checkpoints/000004/a/w', bytesOf('half'));
    expect(await listCheckpoints(store, 'r')).toEqual([2]);
    expect(await readCheckpoint(store, 'r', 2)).toEqual({ step: 2, policies: ['a', 'b'], best: null });
    expect(await policyFiles(store, configOf(), 2, 'b')).toEqual({ w: { kind: 'bytes', bytes: bytesOf('b') } });
  });

  it('do not touch a whole checkpoint that is written again', async () => {
    await writeCheckpoint(store, 'r', { step: 2, policies: ['a'], best: null }, weight);
    const fails = writeCheckpoint(store, 'r', { step: 2, policies: ['a'], best: null }, async () => {
      throw new Error('disk full');
    });
    await fails.catch(() => {});
    expect(await listCheckpoints(store, 'r')).toEqual([2]);
  });

  it('prune all but what is to be kept', async () => {
    for (const step of [2, 4, 6]) await writeCheckpoint(store, 'r', { step, policies: ['a'], best: null }, weight);
    await pruneCheckpoints(store, 'r', (step) => step !== 4);
    expect(await listCheckpoints(store, 'r')).toEqual([2, 6]);
    expect(await checkpointStep(store, 'r')).toBe(6);
    expect(await checkpointStep(store, 'r', 2)).toBe(2);
    await expect(checkpointStep(store, 'r', 4)).rejects.toThrow('no checkpoint of step 4; it has those of 2, 6');
    await expect(checkpointStep(store, 'none')).rejects.toThrow('has no checkpoint yet');
  });

  it('name the run that is not there, and what there is', async () => {
    await store.write(paths.config('other'), bytesOf('{}'));
    await expect(readRun(store, 'r')).rejects.toThrow(/No such run: r; there are other/);
  });

  it.each(['', 'not json', '{"troupe":"run"}', '[]', 'null', `{"troupe":"run","version":99}`])(
    'refuse a damaged run.json with a sentence: %s',
    async (text) => {
      await store.write(paths.config('r'), bytesOf(text));
      await expect(readRun(store, 'r')).rejects.toMatchObject({ name: 'UserError' });
    },
  );

  it.each(['', '{', '{"state":"dancing","step":1}', '[]'])('take a damaged state for none: %s', async (text) => {
    await store.write(paths.state('r'), bytesOf(text));
    expect(await readState(store, 'r')).toBeNull();
  });

  it('refuse a damaged checkpoint with a sentence', async () => {
    await store.write('runs/r/checkpoints/000002/state.json', bytesOf('{"step":"two"}'));
    await expect(readCheckpoint(store, 'r', 2)).rejects.toMatchObject({ name: 'UserError' });
  });
});
