import { describe, expect, it } from 'vitest';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { stepFacts, withStep } from './step-facts.ts';
import {
  asCsv,
  chartsOf,
  drawn,
  legendValue,
  nextPlace,
  rows,
  smoothed,
  summary,
  valuesAt,
  type ChartSpec,
} from './series.ts';

function step(at: number, f1?: number): StepMetrics {
  return {
    step: at,
    rollout: {},
    roles: at === 0 ? {} : { answerer: { reward: at / 10, legal: 1 }, decomposer: { reward: -0.5, legal: 0.25 } },
    policies:
      at === 0
        ? {}
        : { shared: { 'losses/approx_kl': 0.001 * at, 'losses/clipfrac': 0.1, 'losses/entropy': Number.NaN } },
    eval: f1 === undefined ? undefined : { f1, em: f1 / 2, legal: 1, n: 50, roles: {} },
    notes: [],
    timing: at === 0 ? {} : { rolloutMs: 2_000, updateMs: 1_000, tokensPerSecond: 400 },
  };
}
const metrics = [step(0, 0.3), step(1), step(2, 0.55)];

function chart(id: string, from: readonly StepMetrics[] = metrics): ChartSpec {
  const found = chartsOf(from, ['decomposer', 'answerer']).find((one) => one.id === id);
  if (!found) throw new Error(`no chart ${id}`);
  return found;
}

describe('charts', () => {
  it('draw held-out scores only where there was a test', () => {
    expect(chart('f1').lines[0].values).toEqual([0.3, null, 0.55]);
    expect(rows(chart('f1')).map((row) => row.step)).toEqual([0, 2]);
  });
  it('show the loss of fine-tuning instead of PPO’s measures where a run learned so', () => {
    const tuned = {
      ...step(1),
      policies: { shared: { 'losses/sft': 0.4 } },
      roles: { answerer: { 'losses/sft': 0.4 } },
    };
    const ids = chartsOf([step(0, 0.3), tuned], ['decomposer', 'answerer']).map(({ id }) => id);
    expect(ids).toContain('sft');
    expect(ids).not.toContain('kl');
  });
  it('order roles as the workflow does, with their colours', () => {
    expect(chart('reward').lines.map((line) => [line.label, line.tone])).toEqual([
      ['decomposer', 'role-1'],
      ['answerer', 'role-2'],
    ]);
  });
  it('leave out lines that never have a number', () => {
    expect(chart('entropy').lines).toEqual([]);
    expect(summary(chart('entropy'))).toBe('No values yet.');
  });
  it('turn phases into seconds and find the token rate', () => {
    expect(chart('time').lines.map((line) => [line.label, line.values[1]])).toEqual([
      ['rollout', 2],
      ['update', 1],
    ]);
    expect(chart('rate').lines[0].values[2]).toBe(400);
  });
  it('say in words what they show', () => {
    expect(summary(chart('f1'))).toBe(
      'F1 from 0.30 at step 0 to 0.55 at step 2, highest 0.55. exact match from 0.15 at step 0 to 0.28 at step 2, highest 0.28.',
    );
    expect(summary(chart('f1', [step(0, 0.3)]))).toContain('F1 0.30 at step 0.');
    expect(valuesAt(chart('reward'), 1)).toBe('decomposer -0.50, answerer 0.10');
    expect(valuesAt(chart('reward'), 0)).toBe('decomposer no value, answerer no value');
  });
  it('are walked along the steps that have values', () => {
    expect(nextPlace(chart('f1'), 0, 1)).toBe(2);
    expect(nextPlace(chart('f1'), 2, 1)).toBe(2);
    expect(nextPlace(chart('f1'), 3, -1)).toBe(2);
    expect(nextPlace(chart('reward'), 0, 1)).toBe(1);
  });
  it('show the task’s own score with its interval, cut to what a score can be', () => {
    const tested = { ...step(0, 0.3), eval: { f1: 0.3, em: 0.2, score: 0.9, metric: 'passed', stderr: 0.1, legal: 1, n: 50, roles: {} } }; // prettier-ignore
    const spec = chart('f1', [tested, step(1)]);
    expect(spec.lines.map(({ label }) => label)).toEqual(['all tests passed']);
    expect(spec.lines[0].band).toEqual({ low: [expect.closeTo(0.704, 9), null], high: [1, null] });
    expect(legendValue(spec, spec.lines[0], 0)).toBe('0.90 ± 0.20');
    expect(drawn(spec).map(({ part }) => part)).toEqual(['low', 'high', 'line']);
    expect(chart('f1').lines[0].band).toBeUndefined();
  });
  it('keep what was measured beside what is smoothed, and smooth no held-out score', () => {
    const many = Array.from({ length: 9 }, (_, at) => step(at, at === 4 ? 0.3 : undefined));
    const spec = smoothed(chart('reward', many), 5);
    expect(spec.lines[1].raw).toEqual(chart('reward', many).lines[1].values);
    expect(spec.lines[1].values[8]).toBeCloseTo(0.8, 9);
    expect(drawn(spec).map(({ line, part }) => [line, part])).toEqual([
      [0, 'raw'],
      [1, 'raw'],
      [0, 'line'],
      [1, 'line'],
    ]);
    expect(valuesAt(spec, 8)).toBe('decomposer -0.50, smoothed -0.50, answerer 0.80, smoothed 0.80');
    expect(legendValue(spec, spec.lines[1], 8)).toBe('0.80 (0.80)');
    expect(rows(spec).at(-1)?.cells).toEqual(['-0.50', '0.80']);
    const held = chart('f1', many);
    expect(smoothed(held, 5)).toBe(held);
  });
  it('show how roles pull on shared weights, how far they are confused, and what was dropped', () => {
    const diagnosed: StepMetrics = {
      ...step(1),
      rollout: { dropped: 2 },
      roles: {
        decomposer: { 'gradient/norm': 0.5, 'tokens/share': 0.75, 'confusion/answerer': 0.1 },
        answerer: {
          'gradient/norm': 0.25,
          'gradient/copies': 0.9,
          'tokens/share': 0.25,
          'confusion/decomposer': 0,
        },
      },
      policies: { shared: { 'gradient/cosine/answerer~decomposer': -0.2 } },
    };
    const shown = (id: string) =>
      chart(id, [step(0, 0.3), diagnosed]).lines.map(({ label, values }) => [label, values]);
    expect(shown('gradientRole')).toEqual([
      ['decomposer', [null, 0.5]],
      ['answerer', [null, 0.25]],
    ]);
    expect(shown('cosine')).toEqual([['answerer and decomposer', [null, -0.2]]]);
    expect(shown('copies')).toEqual([['answerer', [null, 0.9]]]);
    expect(shown('confusion')).toEqual([['decomposer as answerer', [null, 0.1]]]);
    expect(shown('dropped')).toEqual([['dropped', [null, 2]]]);
    const ids = chartsOf([{ ...diagnosed, rollout: { dropped: 0 } }], []).map(({ id }) => id);
    expect(ids).not.toContain('dropped');
  });
  it('leave out charts of what a run does not measure', () => {
    expect(chartsOf(metrics, []).map(({ id }) => id)).not.toContain('gradient');
    const measured = { ...step(1), policies: { shared: { grad_norm: 2 } }, rollout: { rounds: 1.5 } };
    const ids = chartsOf([measured], []).map(({ id }) => id);
    expect(ids).toEqual(expect.arrayContaining(['gradient', 'rounds']));
    expect(ids).not.toContain('explained');
  });
});

describe('steps', () => {
  it('replace the same step when a run goes on from a checkpoint', () => {
    const again = { ...step(1), notes: ['again'] };
    expect(withStep(metrics, again).map((one) => [one.step, one.notes.length])).toEqual([
      [0, 0],
      [1, 1],
      [2, 0],
    ]);
    expect(withStep(metrics, step(3)).map((one) => one.step)).toEqual([0, 1, 2, 3]);
  });
  it('give speed and drops without inventing any', () => {
    const timed = [
      step(0, 0.3),
      { ...step(1), rollout: { dropped: 2 }, timing: { stepMs: 1_000, tokensPerSecond: 50 } },
      { ...step(2), timing: { stepMs: 3_000, tokensPerSecond: 70 } },
    ];
    expect(stepFacts(timed)).toEqual({ tokensPerSecond: 70, stepMs: 2_000, dropped: 2, peakBytes: null });
    expect(stepFacts([step(0, 0.3)])).toEqual({ tokensPerSecond: null, stepMs: null, dropped: 0, peakBytes: null });
  });
});

describe('charts as a file', () => {
  it('are saved as measured, in full, with labels that no table program takes for more', () => {
    const spec = {
      ...{ id: 'x', title: 'X', axis: 'step' as const, x: [0, 1, 2], steps: [0, 1, 2] },
      ...{ range: [null, null] as const, write: String },
      lines: [
        { label: '=1+1', tone: 'accent', dash: [], values: [0.5, null, 0.7], raw: [1 / 3, null, 1] },
        { label: 'a, "b"', tone: 'accent', dash: [], values: [2, null, null] },
      ],
    };
    expect(asCsv(spec)).toBe(`step,"'=1+1","a, ""b"""\n0,${1 / 3},2\n2,1,\n`);
  });
});
