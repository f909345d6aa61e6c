import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { traceSchema } from '../schema/trace.ts';
import { templateWorkflow } from '../templates/index.ts';
import { presetCast } from '../train/cast.ts';
import { writeFork } from './forks.ts';
import { paths, QUESTIONS } from './layout.ts';
import { askedWith, keepQuestion } from './questions.ts';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';
import { listTraces } from './trace-index.ts';
import { readTrace } from './traces.ts';

const workflow = templateWorkflow('qd-answer');
const asked = {
  workflow,
  cast: presetCast(workflow, 'shared', 'nano', { kind: 'full' }),
  task: { name: 'village-qa', options: {} },
  ...{ seed: 3, web: false, weights: null },
};
const trace = traceSchema.parse({
  ...{ troupe: 'trace', version: 1, id: '0-run-question', workflow: workflow.name, phase: 'run', step: 0 },
  query: { id: 'question', question: 'Who?', answers: [] },
  ...{ status: 'done', answer: 'Mira', score: {}, records: [] },
});

describe('questions asked one by one', () => {
  let folder: string;
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-questions-'));
    store = openNodeStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('are kept with what they were asked with, the newest 200 of them', async () => {
    const first = await keepQuestion(store, asked, trace);
    expect(first).toMatchObject({ id: '1-run-question', step: 1 });
    expect(await readTrace(store, QUESTIONS, first.id)).toEqual(first);
    expect(await askedWith(store, first.id)).toMatchObject({
      seed: 3,
      weights: null,
      workflow: { name: workflow.name },
    });
    await writeFork(store, QUESTIONS, { ...first, id: `${first.id}.fork-1` });
    for (let i = 0; i < 200; i++) await keepQuestion(store, asked, trace);
    const { total, rows } = await listTraces(store, QUESTIONS, {});
    expect([total, rows[0].id, rows.at(-1)?.id]).toEqual([200, '201-run-question', '2-run-question']);
    await expect(askedWith(store, first.id)).rejects.toThrow('no longer kept');
    expect(await store.list(paths.forks(QUESTIONS))).toEqual([]);
    expect((await listTraces(openNodeStore(folder), QUESTIONS, { limit: 500 })).rows.map(({ id }) => id)).toEqual(
      rows.map(({ id }) => id),
    );
  });
});
