import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSafetensors, readFloats, readInts } from '../../engine/formats/safetensors.ts';
import { writeSafetensors } from '../../engine/formats/safetensors-write.ts';
import { traceSchema, type Trace, type TraceRecord } from '../schema/trace.ts';
import { bytesOf, paths } from './layout.ts';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';
import { listTraces, readIndex, traceSteps } from './trace-index.ts';
import { dropTracesAfter, readTrace, writeTraces } from './traces.ts';

function record(id: string, ids: number[], extra: Partial<TraceRecord> = {}): TraceRecord {
  return {
    id,
    node: id.split('#')[0],
    kind: 'role',
    title: '',
    turn: 0,
    parents: ['start#0'],
    inputs: { question: 'Ä 🦉?' },
    outputs: { answer: 'x' },
    role: 'solver',
    policy: 'team',
    trainable: true,
    text: 'x',
    finish: 'stop',
    legal: true,
    length: ids.length,
    rewards: [{ level: 'trajectory', rule: 'f1', value: 0.5, terms: { f1: 0.5, weight: 1 } }],
    reward: 0.5,
    tokens: {
      promptIds: [1, 2, 3],
      ids,
      pieces: ids.map((each) => `p${each}`),
      logprobs: ids.map(() => -0.5),
      entropy: ids.map(() => 0.25),
    },
    ...extra,
  };
}

function trace(
  step: number,
  phase: Trace['phase'],
  n: number,
  records: TraceRecord[],
  extra: Partial<Trace> = {},
): Trace {
  return traceSchema.parse({
    troupe: 'trace',
    version: 1,
    id: `${step}-${phase}-q${n}`,
    workflow: 'w',
    phase,
    step,
    query: { id: `q${n}`, question: `Where is Örn ${n}?`, answers: ['here'] },
    status: 'done',
    answer: `answer ${n}`,
    score: { f1: 0.5, em: 0 },
    records: [
      {
        id: 'start#0',
        node: 'start',
        kind: 'input',
        title: '',
        turn: 0,
        parents: [],
        inputs: {},
        outputs: { question: 'Ä 🦉?' },
      },
      ...records,
    ],
    ...extra,
  });
}

describe('traces on disk', () => {
  let folder: string;
  let store: Store;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-traces-'));
    store = openNodeStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('come back as they were, each with its own tokens', async () => {
    const seen = {
      oldLogprobs: [-0.5, -0.25],
      newLogprobs: [-0.25, -1],
      values: [0, 1],
      advantages: [1, -1],
      returns: [0.5, 0.5],
    };
    const first = record('a#0', [7, 8]);
    const second = record('b#0', [9, 10]);
    const traces = [
      trace(3, 'train', 0, [first, { ...second, tokens: { ...second.tokens!, ...seen } }]),
      trace(3, 'eval', 0, [record('a#0', [])]),
      trace(3, 'train', 1, [], { status: 'dropped', reason: 'timed out' }),
    ];
    await writeTraces(store, 'r', 3, traces);
    for (const each of traces) expect(await readTrace(store, 'r', each.id)).toEqual(each);
  });

  it('come back from steps that were written before something was measured', async () => {
    const name = paths.traceTokens('r', 3);
    const whole = record('a#0', [7, 8]);
    const seen = { oldLogprobs: [-0.5, -0.25], values: [0, 1], advantages: [1, -1], returns: [0.5, 0.5] };
    const kept = trace(3, 'train', 0, [{ ...whole, tokens: { ...whole.tokens!, ...seen } }]);
    await writeTraces(store, 'r', 3, [kept]);
    const bytes = await store.read(name);
    const file = await openSafetensors({ name, size: bytes.length, read: async (at, n) => bytes.subarray(at, at + n) });
    const columns = [...file.entries.keys()].filter((one) => one !== 'newLogprobs');
    const arrays = await Promise.all(
      columns.map(async (one) => {
        const data = one.toLowerCase().endsWith('ids') ? await readInts(file, one) : await readFloats(file, one);
        return { name: one, shape: [data.length], data };
      }),
    );
    expect(columns).toHaveLength(file.entries.size - 1);
    await store.write(name, writeSafetensors(arrays));
    expect(await readTrace(store, 'r', kept.id)).toEqual(kept);
  });

  it('keep token numbers out of the lines', async () => {
    await writeTraces(store, 'r', 1, [trace(1, 'train', 0, [record('a#0', [7, 8])])]);
    const line = new TextDecoder().decode(await store.read(paths.traceLines('r', 1)));
    expect(line.trimEnd().split('\n')).toHaveLength(1);
    expect(line).not.toContain('logprobs');
    expect(line).not.toContain('promptIds');
  });

  it('are listed newest step first, filtered and by page', async () => {
    await writeTraces(store, 'r', 0, [trace(0, 'eval', 0, [record('a#0', [1])])]);
    await writeTraces(store, 'r', 12, [
      trace(12, 'train', 1, [record('a#0', [1], { legal: false })]),
      trace(12, 'train', 2, [record('a#0', [1])]),
      trace(12, 'eval', 0, [record('a#0', [1])]),
    ]);
    const ids = async (filter: Parameters<typeof listTraces>[2]) =>
      (await listTraces(store, 'r', filter)).rows.map(({ id }) => id);
    expect(await ids({})).toEqual(['12-train-q1', '12-train-q2', '12-eval-q0', '0-eval-q0']);
    expect(await ids({ phase: 'eval' })).toEqual(['12-eval-q0', '0-eval-q0']);
    expect(await ids({ step: 0 })).toEqual(['0-eval-q0']);
    expect(await ids({ legal: false })).toEqual(['12-train-q1']);
    expect(await ids({ text: 'öRN 2' })).toEqual(['12-train-q2']);
    expect(await listTraces(store, 'r', { offset: 1, limit: 2 })).toMatchObject({
      total: 4,
      rows: [{ id: '12-train-q2' }, { id: '12-eval-q0' }],
    });
    const { means } = await listTraces(store, 'r', { limit: 1, step: 12 });
    expect(means).toEqual({ score: expect.any(Number), reward: expect.any(Number), illegal: 1 / 3, dropped: 0 });
    expect((await listTraces(store, 'r', { step: 99 })).means).toBeNull();
  });

  it('are filtered by role, failure, bounds and question, and ordered', async () => {
    const tool = record('t#0', [], { kind: 'tool', role: undefined, reward: undefined, error: 'no host' });
    await writeTraces(store, 'r', 1, [
      trace(1, 'train', 1, [record('a#0', [1, 2], { role: 'asker', reward: -1, legal: false }), record('b#0', [1])]),
      trace(1, 'train', 2, [record('b#0', [1], { reward: 1 }), tool], { score: { f1: 1 } }),
    ]);
    await writeTraces(store, 'r', 2, [trace(2, 'train', 1, [record('b#0', [1])], { score: { f1: 0 } })]);
    const ids = async (filter: Parameters<typeof listTraces>[2]) =>
      (await listTraces(store, 'r', filter)).rows.map(({ id }) => id);
    expect(await ids({ role: 'asker' })).toEqual(['1-train-q1']);
    expect(await ids({ role: 'solver', legal: true })).toEqual(['2-train-q1', '1-train-q1', '1-train-q2']);
    expect(await ids({ role: 'asker', legal: true })).toEqual([]);
    expect(await ids({ role: 'asker', reward: [-2, -0.5] })).toEqual(['1-train-q1']);
    expect(await ids({ failed: true })).toEqual(['1-train-q2']);
    expect(await ids({ score: [0.6, 1] })).toEqual(['1-train-q2']);
    expect(await ids({ from: 2 })).toEqual(['2-train-q1']);
    expect(await ids({ to: 1 })).toEqual(['1-train-q1', '1-train-q2']);
    expect(await ids({ order: 'best' })).toEqual(['1-train-q2', '1-train-q1', '2-train-q1']);
    expect(await ids({ order: 'longest' })).toEqual(['1-train-q1', '2-train-q1', '1-train-q2']);
    const { rows } = await listTraces(store, 'r', { order: 'query' });
    expect(rows.map(({ id, group }) => [id, group])).toEqual([
      ['2-train-q1', 2],
      ['1-train-q1', undefined],
      ['1-train-q2', 1],
    ]);
    expect((await listTraces(store, 'r', { order: 'query', offset: 1 })).rows[0].group).toBeUndefined();
  });

  it('are listed the same from blocks, from indexes and where either is damaged', async () => {
    for (let step = 0; step < 70; step++)
      await writeTraces(store, 'r', step, [trace(step, 'train', step % 3, [record('a#0', [1])])]);
    const expected = await listTraces(store, 'r', { limit: 100 });
    expect(expected.total).toBe(70);
    const block = paths.traceBlock('r', 63);
    expect(await store.stat(block)).not.toBeNull();
    const anew = () => listTraces(openNodeStore(folder), 'r', { limit: 100 });
    expect(await anew()).toEqual(expected);
    for (const text of ['{', '{"steps":[1],"columns":{}}', '[]', 'null']) {
      await store.write(block, bytesOf(text));
      expect(await anew(), text).toEqual(expected);
    }
    await store.write(block, bytesOf('{}'));
    await store.write(paths.traceIndex('r', 5), bytesOf('[{"id":"5-train-q2","legal":true}]'));
    expect(await anew()).toEqual(expected);
    expect(await readIndex(store, 'r', 5)).toMatchObject([{ id: '5-train-q2', records: 2 }]);
    await dropTracesAfter(store, 'r', 40);
    expect(await store.stat(block)).toBeNull();
    expect((await listTraces(store, 'r', {})).total).toBe(41);
  });

  it('open though their index was lost to something else', async () => {
    const whole = trace(1, 'train', 0, [record('a#0', [7, 8])]);
    const other = trace(1, 'train', 1, [record('a#0', [9])]);
    await writeTraces(store, 'r', 1, [whole, other]);
    await store.write(paths.traceIndex('r', 1), bytesOf('{"a": 1}'));
    expect(await readTrace(store, 'r', whole.id)).toEqual(whole);
    expect(await readTrace(store, 'r', other.id)).toEqual(other);
  });

  it('beyond a checkpoint are forgotten', async () => {
    for (const step of [0, 1, 2]) await writeTraces(store, 'r', step, [trace(step, 'train', 0, [])]);
    await dropTracesAfter(store, 'r', 1);
    expect(await traceSteps(store, 'r')).toEqual([0, 1]);
    expect((await store.list(paths.traces('r'))).filter((name) => name.startsWith('000002'))).toEqual([]);
  });

  it('that are not there are named', async () => {
    await expect(readTrace(store, 'r', '3-train-q0')).rejects.toThrow(/3-train-q0/);
    await expect(readTrace(store, 'r', 'nonsense')).rejects.toThrow(/nonsense/);
    await expect(readTrace(store, '../..', '3-train-q0')).rejects.toThrow(/leaves the workspace|No such trace/);
  });

  it.each([
    ['cut lines', (step: number) => [paths.traceLines('r', step), '{"troupe":"tr'] as const],
    [
      'tokens that are no safetensors',
      (step: number) => [paths.traceTokens('r', step), 'hello, this is not it'] as const,
    ],
    ['tokens that are too few', null],
  ])('with %s are refused with a sentence', async (_, damage) => {
    const whole = trace(1, 'train', 0, [record('a#0', [7, 8])]);
    await writeTraces(store, 'r', 1, [whole]);
    if (damage) await store.write(damage(1)[0], bytesOf(damage(1)[1]));
    else {
      await writeTraces(store, 'r', 2, [trace(2, 'train', 0, [record('a#0', [])])]);
      await store.write(paths.traceTokens('r', 1), await store.read(paths.traceTokens('r', 2)));
    }
    await expect(readTrace(store, 'r', whole.id)).rejects.toMatchObject({ name: 'UserError' });
  });
});
