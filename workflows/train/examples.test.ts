import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { traceSchema, type Trace } from '../schema/trace.ts';
import { workflowSchema } from '../schema/workflow.ts';
import { bytesOf } from '../workspace/layout.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import type { Store } from '../workspace/store.ts';
import { writeTraces } from '../workspace/traces.ts';
import { examplesOfRun, parseExamples } from './examples.ts';
import { echoWorkflow } from './test-support.ts';

describe('examples from a file', () => {
  it('come as messages or as plain text, with a role where one is given', () => {
    const messages = [{ role: 'user' as const, content: 'Hi' }];
    const text = `${JSON.stringify({ messages, response: 'yo', role: 'greeter' })}\n\n${JSON.stringify({ prompt: 'Hi', response: 'yo' })}\n`;
    expect(parseExamples(bytesOf(text))).toEqual([
      { prompt: { messages }, response: 'yo', role: 'greeter' },
      { prompt: { text: 'Hi' }, response: 'yo', role: 'example' },
    ]);
  });

  it.each([
    ['', /no examples/],
    ['{"prompt":"a","response":"b"}\n{oops', /Line 2 is not JSON: \{oops/],
    ['{"prompt":"a"}', /Line 1 is not an example/],
    ['{"messages":[],"response":"b"}', /Line 1 is not an example/],
    ['[1,2]', /Line 1 is not an example/],
    ['{"prompt":7,"response":"b"}', /Line 1 is not an example/],
  ])('that are none are refused by line: %s', (text, sentence) => {
    expect(() => parseExamples(bytesOf(text))).toThrow(sentence);
  });
});

const { roles } = workflowSchema.parse(echoWorkflow);
const all = { best: 0, legal: true, dedupe: true, consistency: 'both' } as const;

describe('examples from a run', () => {
  let folder: string;
  let store: Store;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-examples-'));
    store = openNodeStore(folder);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const trace = (n: number, f1: number, text: string, extra: object = {}, phase: Trace['phase'] = 'train'): Trace =>
    traceSchema.parse({
      troupe: 'trace',
      version: 1,
      id: `1-${phase}-q${n}`,
      workflow: 'w',
      phase,
      step: 1,
      query: { id: `q${n}`, question: '?', answers: ['x'] },
      status: 'done',
      answer: text,
      score: { f1, em: 0 },
      records: [
        {
          id: 'a#0',
          node: 'a',
          kind: 'role',
          title: '',
          turn: 0,
          parents: [],
          inputs: {},
          outputs: {},
          role: 'solver',
          prompt: [{ role: 'user', content: '?' }],
          text,
          legal: true,
          finish: 'stop',
          length: 1,
          tokens: { promptIds: [1], ids: [2], pieces: ['x'], logprobs: [-1], entropy: [1] },
          ...extra,
        },
      ],
    });

  it('are the legal, finished outputs of successful samples, each once', async () => {
    await writeTraces(store, 'r', 1, [
      trace(0, 1, 'good'),
      trace(1, 1, 'good'),
      trace(2, 0.5, 'half'),
      trace(3, 0.2, 'bad'),
      trace(4, 1, 'illegal', { legal: false }),
      trace(5, 1, 'cut', { finish: 'length' }),
      trace(6, 1, 'greedy', {}, 'eval'),
    ]);
    const responses = async (bound: number) =>
      (await examplesOfRun(store, 'r', roles, { ...all, minScore: bound })).map(({ response }) => response);
    expect(await responses(1)).toEqual(['good']);
    expect(await responses(0.5)).toEqual(['good', 'half']);
    expect((await examplesOfRun(store, 'r', roles, { ...all, minScore: 1 }))[0]).toEqual({
      prompt: { messages: [{ role: 'user', content: '?' }] },
      response: 'good',
      role: 'solver',
    });
  });

  it('are missed with a sentence', async () => {
    await writeTraces(store, 'r', 1, [trace(0, 0.2, 'bad')]);
    await expect(examplesOfRun(store, 'r', roles, { ...all, minScore: 1 })).rejects.toThrow(
      /Run r has no output to learn from in a trace that scored 1 or more/,
    );
  });
});
