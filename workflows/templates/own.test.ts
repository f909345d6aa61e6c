/** A team of one's own, with its own reward: one file in a workspace, and nothing else changes. Through the public API. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EngineApi } from '../../engine/protocol.ts';
import { createController } from '../controller.ts';
import type { Host } from '../controller/host.ts';
import { downloadsInto, questionLines, toyDevice, toyEngine } from '../train/test-support.ts';
import { unheard } from '../unheard.ts';
import { bytesOf } from '../workspace/layout.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import { port, question, result, wires } from './parts.ts';

/** Two guesses at once; the longer wins, and each is rewarded for being short and for being right. */
const mine = {
  troupe: 'workflow',
  version: 2,
  name: 'two-guesses',
  title: 'Two guesses',
  roles: { guesser: { title: 'Guesser', prompt: { user: '{{question}}' }, parser: { kind: 'text', port: 'answer' } } },
  nodes: [
    question,
    { id: 'guess', kind: 'role', role: 'guesser', inputs: [port('question')], samples: 2 },
    {
      id: 'choose',
      kind: 'compute',
      inputs: [port('guesses', 'list')],
      output: port('answer'),
      expression: 'best(guesses, guesses.map(g, size(g)))',
    },
    result,
  ],
  edges: wires('question.question > guess.question', 'guess.answer > choose.guesses', 'choose.answer > result.answer'),
  rewards: {
    rules: [
      { id: 'short', level: 'role', value: { kind: 'cel', expression: '1.0 / size(record.text)' } },
      { id: 'right', level: 'role', value: { kind: 'own', metric: 'em' }, weight: 2 },
    ],
  },
};

function hostAt(folder: string): Host {
  const engine = {
    ...toyEngine(),
    open: async () => toyDevice,
    inspect: async () => ({ parameters: 1_000 }),
    plan: async () => null,
    loadModel: async () => ({}),
    unloadModel: async () => {},
    createPolicy: async () => {},
    dropPolicy: async () => {},
    cancel: async () => {},
  } as unknown as EngineApi;
  const store = openNodeStore(folder);
  return {
    startEngine: async () => ({ engine, close: async () => {} }),
    device: 'cpu',
    downloads: downloadsInto(store),
    software: {},
    places: {
      store,
      bundled: { toy: {} },
      refOf: async (inside) => ({ kind: 'path', path: inside }),
    },
    readFile: async () => bytesOf(questionLines(12)),
  };
}

describe('a team of one file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-own-'));
    await mkdir(path.join(folder, 'workflows'));
    await writeFile(path.join(folder, 'workflows/two-guesses.troupe.json'), JSON.stringify(mine));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is listed, trained and rewarded like any other', async () => {
    const controller = createController(hostAt(folder), unheard);
    const listed = await controller.workflows();
    expect(listed.find(({ name }) => name === 'two-guesses')).toEqual({
      name: 'two-guesses',
      title: 'Two guesses',
      description: '',
      roles: ['guesser'],
      template: false,
    });
    const settings = { task: 'toy.jsonl', model: 'toy', cast: 'shared', seed: 1, steps: 3, queries: 4 };
    const { run } = await controller.train({ workflow: 'two-guesses', ...settings });
    await controller.settled(run);
    expect((await controller.run(run)).state).toBe('done');
    const { rows } = await controller.traces(run, { step: 3, phase: 'train' });
    expect(rows.length).toBe(4);
    const trace = await controller.trace(run, rows[0].id);
    const guesses = trace.records.filter(({ role }) => role === 'guesser');
    expect(guesses.map(({ id, index }) => [id, index])).toEqual([
      ['guess#0.0', 0],
      ['guess#0.1', 1],
    ]);
    for (const { rewards, reward, text } of guesses) {
      const right = text === trace.query.answers[0] ? 1 : 0;
      expect(rewards).toEqual([
        { level: 'role', rule: 'short', value: 1 / text!.length, terms: { value: 1 / text!.length, weight: 1 } },
        { level: 'role', rule: 'right', value: 2 * right, terms: { em: right, weight: 2 } },
        { level: 'role', rule: 'format', value: 0, terms: { format: 0, weight: 1 } },
      ]);
      expect(reward).toBeCloseTo(1 / text!.length + 2 * right, 12);
    }
    await controller.close();
  });
});
