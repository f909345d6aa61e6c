import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { traceSchema, type Trace, type TraceRecord } from '../schema/trace.ts';
import { bytesOf, paths } from './layout.ts';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';
import { dropTracesAfter, listTraces, readTrace, traceSteps, writeTraces } from './traces.ts';

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
    const seen = { oldLogprobs: [-0.5, -0.25], values: [0, 1], advantages: [1, -1], returns: [0.5, 0.5] };
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
    ['an index of something else', (step: number) => [paths.traceIndex('r', step), '{"a": 1}'] as const],
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
