import { describe, expect, it } from 'vitest';
import type { RunDetail, RunSummary } from '../../workflows/protocol.ts';
import type { Evaluation, StepMetrics } from '../../workflows/schema/run.ts';
import { configOf } from '../../workflows/train/test-support.ts';
import {
  comparisonCharts,
  differences,
  labels,
  lastTest,
  pairedDifference,
  pairedText,
  runOfStep,
  shortened,
} from './compare.ts';
import { areColumns, isOrder, reordered, rowsOf, toggled, toggledColumn, usualColumns, usualOrder, type Order } from './run-rows.ts'; // prettier-ignore

const held = (f1: number): Evaluation => ({ f1, em: f1, legal: 1, n: 4, stderr: 0.05, roles: {} });
const step = (at: number, f1?: number): StepMetrics => ({
  step: at,
  rollout: at === 0 ? {} : { reward: at / 10, legal: 1 },
  roles: {},
  policies: at === 0 ? {} : { a: { 'losses/approx_kl': 0.01 }, b: { 'losses/approx_kl': 0.03 } },
  ...(f1 === undefined ? {} : { eval: held(f1) }),
  notes: [],
  timing: at === 0 ? {} : { stepMs: 2_000 },
});
const detail = (metrics: StepMetrics[]): RunDetail => ({ config: configOf(), state: 'done', metrics, checkpoints: [] });
const run = (id: string, more: Partial<RunSummary> = {}): RunSummary => ({ id, title: 'T', created: `2026-01-0${id.length}`, workflow: 'w', cast: 'shared', task: 't', model: 'nano', step: 4, steps: 4, state: 'done', before: held(0.2), latest: held(0.5), seed: 1, trained: { method: 'full', policies: 1, queries: 32 }, ...more }); // prettier-ignore

describe('the comparison of runs', () => {
  it('puts the settings that differ first and leaves out what only names a run', () => {
    const a = configOf({ seed: 1, ppo: { lr: 1e-4, kl: { coef: 0 } } });
    const b = { ...configOf({ seed: 2, ppo: { lr: 1e-4 } }), id: 'other', title: 'Other', created: 'later' };
    const found = differences([a, b]);
    expect(found.filter(({ differs }) => differs).map(({ key, values }) => [key, ...values])).toEqual([
      ['settings.seed', '1', '2'],
      ['settings.ppo.kl.coef', '0', 'not set'],
    ]);
    expect(found[2].differs).toBe(false);
    expect(found.find(({ key }) => key === 'settings.ppo.lr')?.values).toEqual(['0.0001', '0.0001']);
    expect(found.map(({ key }) => key)).not.toContain('title');
  });
  it('names nodes by their id, so that one more node is one difference', () => {
    const nodes = [{ id: 'a', kind: 'role' }, { id: 'b', kind: 'output' }]; // prettier-ignore
    const found = differences([{ nodes }, { nodes: [nodes[0], { id: 'x', kind: 'tool' }, nodes[1]] }]);
    expect(found.filter(({ differs }) => differs).map(({ key }) => key)).toEqual(['nodes.x.id', 'nodes.x.kind']);
  });
  it('draws one line a run over the union of steps, with intervals', () => {
    const charts = comparisonCharts([
      { id: 'one', label: 'A', detail: detail([step(0, 0.2), step(1), step(2, 0.4)]) },
      { id: 'two', label: 'B', detail: detail([step(0, 0.2), step(4, 0.6)]) },
    ]);
    const [score, reward] = charts;
    expect(score.steps).toEqual([0, 1, 2, 4]);
    expect(score.lines.map(({ label, run, values }) => [label, run, values])).toEqual([
      ['A', 'one', [0.2, null, 0.4, null]],
      ['B', 'two', [0.2, null, null, 0.6]],
    ]);
    expect(score.lines[1].band?.low).toEqual([expect.closeTo(0.102), null, null, expect.closeTo(0.502)]);
    expect(reward.lines[0].values).toEqual([null, 0.1, 0.2, null]);
    expect(charts.find(({ id }) => id === 'kl')?.lines[0].values).toEqual([null, 0.02, 0.02, null]);
    expect(charts.find(({ id }) => id === 'sft')).toBeUndefined();
  });
  it('tests the last held-out results question by question', () => {
    const row = (query: number, score: number, status: 'done' | 'dropped' = 'done') => ({ query: `q${query}`, score, status }); // prettier-ignore
    const a = [0, 1, 2, 3].map((query) => row(query, 0.5));
    const b = [row(1, 1), row(2, 1), row(3, 1, 'dropped'), row(9, 1)];
    expect(pairedDifference(a, b)).toMatchObject({ n: 3, mean: expect.closeTo(1 / 6) });
    expect(pairedDifference(a, [])).toBeNull();
    const certain = pairedDifference(a, a.map((one) => ({ ...one, score: 0.75 })))!; // prettier-ignore
    expect(pairedText(certain)).toBe('+0.25 [+0.25, +0.25] on 4 questions: a clear difference');
    expect(pairedText({ mean: 0.02, low: -0.03, high: 0.07, n: 100 })).toBe(
      '+0.02 [−0.03, +0.07] on 100 questions: no clear difference',
    );
    expect(lastTest([step(0, 0.2), step(1)])).toBe(0);
    expect(lastTest([step(1)])).toBeNull();
  });
  it('finds the run that made the traces of a step', () => {
    const runs = [run('a'), run('b', { from: { run: 'a', step: 4 } }), run('c', { from: { run: 'b', step: 6 } })];
    expect([3, 4, 5, 6, 7].map((at) => runOfStep(runs, 'c', at))).toEqual(['a', 'a', 'b', 'b', 'c']);
    expect(runOfStep([run('x', { from: { run: 'gone', step: 4 } })], 'x', 2)).toBe('gone');
    expect(runOfStep([run('x', { from: { run: 'x', step: 4 } })], 'x', 2)).toBe('x');
  });
  it('tells runs of one title apart', () => {
    expect([...labels([run('a-1'), run('b-2'), run('c', { title: 'Mine' })]).values()]).toEqual([
      'T (a-1)',
      'T (b-2)',
      'Mine',
    ]);
    expect(shortened(['QD on V, shared', 'QD on V, shared, from step 2'])).toEqual(['shared', 'shared, from step 2']);
    expect(shortened(['A, x', 'B, x'])).toEqual(['A, x', 'B, x']);
  });
});

describe('the table of runs', () => {
  const runs = [
    run('a', { seed: 2 }),
    run('bb', { cast: 'separate', latest: held(0.1) }),
    run('ccc', { latest: null }),
  ];
  const ids = (filter: string, order: Order) => rowsOf(runs, new Map(), { filter, order }).map(({ run: { id } }) => id);
  it('orders by a column, with what has no number last', () => {
    expect(ids('', { by: 'created', down: true })).toEqual(['ccc', 'bb', 'a']);
    expect(ids('', { by: 'now', down: true })).toEqual(['a', 'bb', 'ccc']);
    expect(ids('', { by: 'now', down: false })).toEqual(['bb', 'a', 'ccc']);
    expect(reordered({ by: 'now', down: true }, 'now')).toEqual({ by: 'now', down: false });
    expect(reordered({ by: 'now', down: true }, 'cast')).toEqual({ by: 'cast', down: false });
  });
  it('keeps what holds every word', () => {
    expect(ids('SEPARATE nano', { by: 'seed', down: false })).toEqual(['bb']);
    expect(ids('nothing', { by: 'seed', down: false })).toEqual([]);
  });
  it('shows scores with their interval and gains with their sign', () => {
    const [first] = rowsOf(runs, new Map(), { filter: '', order: { by: 'gain', down: true } });
    expect(first.cells).toMatchObject({ now: '0.50 ± 0.10', gain: '+0.30', step: '4 / 4', seed: '2', state: 'done' });
    expect(toggled(['a', 'b'], 'a')).toEqual(['b']);
    expect(toggled(['a'], 'b')).toEqual(['a', 'b']);
  });
  it('shows what a run cost where that was measured', () => {
    const measured = run('dear', { measured: { device: 'A GPU', peakBytes: 2.5e9, stepMs: 75_000 } });
    const [dear, free] = rowsOf([run('f'), measured], new Map(), { filter: '', order: { by: 'memory', down: true } });
    const costs = { stepTime: '1 min', memory: '2.5 GB', device: 'A GPU', policies: '1', queries: '32' };
    expect(dear.cells).toMatchObject(costs);
    expect(free.cells).toMatchObject({ stepTime: '–', memory: '–', device: '' });
  });
  it('has columns that are chosen, in their order, the name always', () => {
    const more = toggledColumn(usualColumns, 'memory');
    expect(more.indexOf('memory')).toBe(more.indexOf('gain') + 1);
    expect(toggledColumn(more, 'memory')).toEqual(usualColumns);
    expect(toggledColumn(['title'], 'title')).toEqual(['title']);
  });
  it('takes back only columns and an order that it has', () => {
    expect([areColumns(usualColumns), areColumns(['title', 'moon']), areColumns('title')]).toEqual([
      true,
      false,
      false,
    ]);
    expect([isOrder(usualOrder), isOrder({ by: 'moon', down: true }), isOrder(null)]).toEqual([true, false, false]);
  });
});
