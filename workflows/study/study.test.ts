/** A study with an engine whose only parameter is a number: planned, interrupted, resumed, counted and reported. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { EngineApi, ModelInfo } from '../../engine/protocol.ts';
import { UserError } from '../../engine/errors.ts';
import type { Host } from '../controller/host.ts';
import {
  downloadsInto,
  memoryStore,
  questionLines,
  toyDevice,
  toyEngine,
  twoStepWorkflow,
} from '../train/test-support.ts';
import { bytesOf, textOf } from '../workspace/layout.ts';
import { listRuns, readMetrics, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { concludeStudy } from './conclude.ts';
import type { Cell } from './plan.ts';
import { runStudy, type CellState, type StudyHooks } from './run.ts';
import { parseStudy } from './schema.ts';

const info: ModelInfo = { architecture: 'llama', format: 'safetensors', parameters: 1_000, layers: 1, hidden: 1, heads: 1, kvHeads: 1, vocab: 1, contextLength: 1, weightTypes: ['F32'], bytesOnDisk: 1, chatTemplate: true, memory: { run: 1, trainFull: 1, trainLora: 1 } }; // prettier-ignore

/** `atUpdate` may throw, or wait for ever as a killed process does. */
function hostOf(store: Store, atUpdate: () => Promise<void> = async () => {}): Host {
  const engine = () => {
    // Every policy has weights of its own.
    const toys = new Map<string, EngineApi>();
    const of = (policy: string): EngineApi => toys.get(policy) ?? (toys.set(policy, toyEngine()), toys.get(policy)!);
    const calls: Partial<EngineApi> = {
      open: async () => toyDevice,
      inspect: async () => info,
      loadModel: async () => info,
      unloadModel: async () => {},
      cancel: async () => {},
      plan: async () => null,
      createPolicy: async ({ policy, model }) => ({ policy, model, trainable: 1, bytes: 1 }),
      dropPolicy: async () => {},
      memory: async () => ({ usedBytes: 1, peakBytes: 3 * 2 ** 20, parts: {} }),
      generate: (policy, ...rest) => of(policy).generate(policy, ...rest),
      forget: (policy) => of(policy).forget(policy),
      exportPolicy: (policy, what) => of(policy).exportPolicy(policy, what),
      importPolicy: (policy, files) => of(policy).importPolicy(policy, files),
      update: async (policy, ...rest) => {
        await atUpdate();
        return of(policy).update(policy, ...rest);
      },
    };
    return calls as EngineApi;
  };
  const files: Record<string, string> = { 'toy.jsonl': questionLines(24), 'two.json': JSON.stringify(twoStepWorkflow) };
  return {
    startEngine: async () => ({ engine: engine(), close: async () => {} }),
    device: 'cpu',
    downloads: downloadsInto(store),
    software: {},
    places: { store, bundled: { toy: {} }, refOf: async (inside) => ({ kind: 'path', path: inside }) },
    readFile: async (name) => bytesOf(files[name] ?? ''),
  };
}

const file = {
  troupe: 'study',
  version: 1,
  name: 'tiny',
  title: 'Shared <or> separate',
  conclusion: 'Nothing | is *shown*.',
  workflows: ['two.json'],
  models: ['toy'],
  task: 'toy.jsonl',
  casts: ['shared', { name: 'apart', groups: [['first']] }],
  seeds: [1, 2],
  steps: 2,
  queries: 4,
  evalEvery: 1,
  evalLimit: 6,
};

describe('a study', () => {
  let store: Store;
  let told: [string, CellState][];
  const hooks: StudyHooks = {
    onCell: ({ id }, state) => void told.push([id, state]),
    onJob: () => {},
    onStep: () => {},
    onWarning: () => {},
  };
  const go = (host = hostOf(store), study = parseStudy(file), signal = new AbortController().signal) =>
    runStudy(host, study, hooks, signal);
  const states = () => told.map(([, state]) => state);
  const lines = async (from: Store, id: string) => (await readMetrics(from, id)).map(({ timing: _, ...rest }) => rest);

  beforeEach(() => {
    store = memoryStore();
    told = [];
  });

  it('is one normal run for every arm and seed, on the same questions in the same order', async () => {
    const { outcome, cells } = await go();
    expect(outcome).toBe('done');
    expect(await listRuns(store)).toEqual([
      'tiny--two--toy--apart--gae--s1',
      'tiny--two--toy--apart--gae--s2',
      'tiny--two--toy--shared--gae--s1',
      'tiny--two--toy--shared--gae--s2',
    ]);
    expect(cells.map(({ seed }) => seed)).toEqual([1, 1, 2, 2]);
    const apart = (await readRun(store, cells[1].id)).cast;
    expect(apart.roles).toEqual({ first: 'first', last: 'last' });
    const shared = (await readRun(store, cells[0].id)).cast;
    expect(shared.roles).toEqual({ first: 'team', last: 'team' });
    const asked = async (id: string) =>
      textOf(await store.read(`runs/${id}/traces/000001.jsonl`))
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { query: { id: string } }).query.id);
    expect(await asked(cells[0].id)).toEqual(await asked(cells[1].id));
    expect(await asked(cells[0].id)).not.toEqual(await asked(cells[2].id));
  });

  it('keeps what is finished and goes on where it was killed or paused, to the same numbers', async () => {
    const whole = memoryStore();
    const { cells } = await go(hostOf(whole));
    let updates = 0;
    const killed = new Promise<void>((dead) => {
      void go(hostOf(store, () => (++updates === 6 ? (dead(), new Promise(() => {})) : Promise.resolve()))); // in the second cell
    });
    await killed;
    told = [];
    const pause = new AbortController();
    let more = 0;
    const paused = await go(
      hostOf(store, async () => {
        if (++more === 3) pause.abort(); // in the third cell
      }),
      undefined,
      pause.signal,
    );
    expect(paused.outcome).toBe('paused');
    expect(states()).toEqual(['kept', 'resumed', 'done', 'begun']);
    told = [];
    expect((await go()).outcome).toBe('done');
    expect(states()).toEqual(['kept', 'kept', 'resumed', 'done', 'begun', 'done']);
    for (const { id } of cells) expect(await lines(store, id), id).toEqual(await lines(whole, id));
    told = [];
    await go();
    expect(states()).toEqual(['kept', 'kept', 'kept', 'kept']);
  });

  it('may grow along any axis, and is refused when what was run has changed', async () => {
    await go(undefined, parseStudy({ ...file, seeds: [1], casts: ['shared'] }));
    told = [];
    await go(
      undefined,
      parseStudy({ ...file, seeds: [1], casts: ['shared', 'separate'], estimators: ['gae', 'reinforce'] }),
    );
    expect(states().filter((state) => state === 'kept')).toHaveLength(1);
    expect(states().filter((state) => state === 'done')).toHaveLength(3);
    await expect(go(undefined, parseStudy({ ...file, steps: 3 }))).rejects.toThrow('made with other settings');
  });

  it('reports means, falls, cost and paired differences, and escapes what people wrote', async () => {
    const { cells } = await go();
    const { results, files } = (await concludeStudy(store, parseStudy(file), cells))!;
    expect(files.map(({ name }) => name)).toEqual([
      'tiny.html',
      'tiny.md',
      'tiny-score.svg',
      'tiny-reward.svg',
      'tiny-legal.svg',
    ]);
    const [shared, apart] = results.arms;
    for (const { metrics, final, peak, tokens, finalScores, peakBytes } of shared.cells) {
      const held = metrics.filter((line) => line.step > 0).map((line) => line.eval!.f1);
      expect([final, peak, peakBytes]).toEqual([held.at(-1), Math.max(...held), 3 * 2 ** 20]);
      expect([...finalScores.values()].reduce((a, b) => a + b, 0) / 6).toBeCloseTo(final, 10);
      expect(tokens).toBe(0); // the toy's report counts none
    }
    const [difference] = results.differences;
    const mean = (arm: typeof shared) => (arm.cells[0].final + arm.cells[1].final) / 2;
    expect(difference).toMatchObject({ axis: 'cast', one: 'shared', other: 'apart', seeds: 2, questions: 6 });
    expect(difference.final.mean).toBeCloseTo(mean(shared) - mean(apart), 10);
    expect(difference.final.low).toBeLessThanOrEqual(difference.final.mean);
    expect(difference.final.high).toBeGreaterThanOrEqual(difference.final.mean);
    const html = textOf(await store.read('studies/tiny/tiny.html'));
    expect(html).toContain('<h1>Shared &#60;or&#62; separate</h1>');
    expect(html.match(/<svg /g)).toHaveLength(3);
    expect(html).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
    const markdown = textOf(await store.read('studies/tiny/tiny.md'));
    expect(markdown).toContain('# Shared &lt;or&gt; separate');
    expect(markdown).toContain('Nothing \\| is \\*shown\\*.');
    expect(markdown).toContain('![Held-out score](tiny-score.svg)');
    expect(markdown).toMatch(/\| shared − apart \| 2 × 6 \|/);
    const report = JSON.parse(textOf(await store.read('studies/tiny/report.json'))) as typeof results;
    expect(report.differences).toEqual(results.differences);
    expect(await concludeStudy(store, parseStudy(file), [{ ...cells[0], id: 'never' } as Cell])).toBe(null);
  });

  it('does without traces that were removed, and names a run whose metrics are damaged', async () => {
    const { cells } = await go(undefined, parseStudy({ ...file, seeds: [1] }));
    await store.remove(`runs/${cells[0].id}/traces`);
    const bare = (await concludeStudy(store, parseStudy(file), cells))!;
    expect([bare.results.arms.length, bare.results.differences]).toEqual([2, []]);
    await store.write(`runs/${cells[0].id}/metrics.jsonl`, bytesOf('{"step":'));
    const { results } = (await concludeStudy(store, parseStudy(file), cells))!;
    expect(results.missing).toEqual([{ id: cells[0].id, why: 'its metrics are damaged' }]);
  });

  it('goes past a cell that fails, says so, and tries it again', async () => {
    let updates = 0;
    const end = await go(
      hostOf(store, async () => {
        if (++updates === 1) throw new Error('out of luck');
      }),
    );
    expect([end.outcome, end.failed]).toEqual(['done', 1]);
    const { results } = (await concludeStudy(store, parseStudy(file), end.cells))!;
    expect(results.missing).toEqual([{ id: end.cells[0].id, why: 'out of luck' }]);
    expect(textOf(await store.read('studies/tiny/tiny.md'))).toContain('out of luck');
    told = [];
    expect((await go()).failed).toBe(0);
    expect(states()).toEqual(['resumed', 'done', 'kept', 'kept', 'kept']);
  });

  it.each<[object, string]>([
    [{ seeds: [] }, 'The study does not fit at seeds'],
    [{ casts: ['nope'] }, 'No such cast: nope'],
    [{ casts: [{ name: 'x', groups: [['boss']] }] }, 'a role the workflow does not have: boss'],
    [{ casts: [{ name: 'x', groups: [['first'], ['first', 'last']] }] }, 'a role into two groups: first'],
    [{ casts: ['shared', 'shared'] }, 'Two cells of the study are the same: tiny--two--toy--shared--gae--s1'],
    [{ estimators: ['ppo'] }, 'The study does not fit at estimators.0'],
    [{ estimators: [{ name: 'x', set: { lerning: 1 } }] }, 'There is no setting lerning'],
    [{ set: { clip: 9 } }, 'setting clip'],
    [{ models: ['nope'] }, 'No such model: nope'],
    [{ workflows: ['nope'] }, 'No such workflow: nope'],
    [{ step: 3 }, 'The study does not fit'],
    [
      {
        seeds: Array.from({ length: 1_000 }, (_, i) => i),
        estimators: Array.from({ length: 20 }, (_, i) => ({ name: `e${i}` })),
      },
      'The study has 40000 cells',
    ],
  ])('refuses %j before anything is run', async (change, sentence) => {
    const attempt = async () => go(undefined, parseStudy({ ...file, ...change }));
    await expect(attempt()).rejects.toThrow(UserError);
    await expect(attempt()).rejects.toThrow(sentence);
    expect(await listRuns(store)).toEqual([]);
  });
});
