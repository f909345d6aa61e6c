import { describe, expect, it } from 'vitest';
import type { RunDetail } from '../../workflows/protocol.ts';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { configOf } from '../../workflows/train/test-support.ts';
import { edgeOnLogScale, extentOf, onLogScale, placedOn } from './axes.ts';
import { areChoices, plainCharts } from './chart-memory.ts';
import { comparisonCharts } from './compare.ts';
import { asCsv, belowLog, chartsOf, legendValue, readAt, rows, smoothed, whereAt, type ChartSpec } from './series.ts';

/** A step that took so many seconds, a tenth of them for its test, and ended at a clock time. */
function step(at: number, seconds: number, clock?: number, reward = at / 10): StepMetrics {
  return {
    ...{ step: at, rollout: { reward }, roles: { answerer: { reward } }, policies: {}, notes: [] },
    timing: {
      ...(at === 0 ? {} : { stepMs: seconds * 900, evalMs: seconds * 100 }),
      ...(clock === undefined ? {} : { at: clock }),
    },
  };
}
const paused = [step(0, 5, 1_000), step(1, 10, 11_000), step(2, 10, 900_000), step(3, 20, 899_000)];

function reward(charts: readonly ChartSpec[]): ChartSpec {
  return charts.find(({ id }) => id === 'reward')!;
}

describe('the x axis', () => {
  it('is the step, the time at work without pauses, or the clock, which never goes back', () => {
    expect(placedOn('step', paused).x).toEqual([0, 1, 2, 3]);
    expect(placedOn('time', paused).x).toEqual([0, 10_000, 20_000, 40_000]);
    expect(placedOn('clock', paused).x).toEqual([1_000, 11_000, 900_000, 900_000]);
  });
  it('has no place for steps without times, nor for those whose time is unknown from then on', () => {
    const untimed = { ...step(2, 0), timing: {} };
    const kept = (axis: 'time' | 'clock') =>
      placedOn(axis, [paused[0], paused[1], untimed, paused[3]]).metrics.map((one) => one.step);
    expect(kept('time')).toEqual([0, 1]);
    expect(kept('clock')).toEqual([0, 1, 3]);
  });
  it('reaches to the steps to come, and of times to the last', () => {
    expect(extentOf('step', [0, 1, 2], 60)).toEqual({ from: 0, to: 60, whole: true });
    expect(extentOf('time', [0, 9_000], 60)).toEqual({ from: 0, to: 9_000, whole: false });
    expect(extentOf('clock', [5_000], 60)).toEqual({ from: 5_000, to: 6_000, whole: false });
    expect(extentOf('clock', [], 60)).toEqual({ from: 0, to: 1_000, whole: false });
  });
  it('is said, listed and saved in its own terms beside the step', () => {
    const chart = (axis: 'step' | 'time' | 'clock') => reward(chartsOf(paused, ['answerer'], axis));
    expect(whereAt(chart('step'), 2)).toBe('step 2');
    expect(whereAt(chart('time'), 3)).toBe('40 s, step 3');
    expect(rows(chart('time')).map(({ place, step }) => [place, step])).toContainEqual(['10 s', 1]);
    expect(asCsv(chart('time')).split('\n').slice(0, 3)).toEqual(['seconds,step,"answerer"', '0,0,0', '10,1,0.1']);
    expect(asCsv(chart('clock')).split('\n')[2]).toBe('1970-01-01T00:00:11.000Z,1,0.1');
  });
});

describe('runs along a time axis', () => {
  const detail = (metrics: StepMetrics[]): RunDetail => ({
    ...{ config: configOf(), state: 'done', metrics, checkpoints: [] },
  });
  const runs = [
    { id: 'fast', label: 'Fast', detail: detail([step(0, 0), step(1, 2), step(2, 2), step(3, 2)]) },
    { id: 'slow', label: 'Slow', detail: detail([step(0, 0), step(1, 5), step(2, 5)]) },
  ];
  const chart = reward(comparisonCharts(runs, 'time'));

  it('stand where they were measured, and together only where time and step are the same', () => {
    expect(chart.x).toEqual([0, 2_000, 4_000, 5_000, 6_000, 10_000]);
    expect(chart.steps).toEqual([0, 1, 2, 1, 3, 2]);
    expect(chart.lines.map(({ values }) => values)).toEqual([
      [0, 0.1, 0.2, null, 0.3, null],
      [0, null, null, 0.1, null, 0.2],
    ]);
  });
  it('are read at their last place so far, whose step is opened', () => {
    const [fast, slow] = chart.lines;
    expect(legendValue(chart, fast, 3)).toBe('0.20');
    expect(legendValue(chart, slow, 2)).toBe('0.00');
    expect(chart.steps[readAt(chart, slow, 4)]).toBe(1);
    expect(whereAt(chart, 4)).toBe('6.0 s');
  });
  it('are smoothed by their own steps, as they are along steps', () => {
    const long = (seconds: number) => detail(Array.from({ length: 30 }, (_, at) => step(at, seconds, 0, (at * 7) % 5)));
    const many = [
      { id: 'a', label: 'A', detail: long(2) },
      { id: 'b', label: 'B', detail: long(3) },
    ];
    const own = (axis: 'step' | 'time') =>
      smoothed(reward(comparisonCharts(many, axis)), 5).lines.map(({ values }) =>
        values.filter((value) => value !== null),
      );
    expect(own('time')).toEqual(own('step'));
  });
});

describe('a log scale', () => {
  it('passes over what was not measured, and breaks a line at 0 and below', () => {
    expect(onLogScale([1, null, 0, -2, 0.5])).toEqual([1, undefined, null, null, 0.5]);
    expect(edgeOnLogScale([0.2, null])).toEqual([0.2, undefined]);
    expect(edgeOnLogScale([-0.1])[0]).toBeGreaterThan(0);
  });
  it('counts what it leaves out as it was measured, smoothed or not', () => {
    const chart = reward(chartsOf([step(1, 1, 0, -1), step(2, 1, 0, 0), step(3, 1, 0, 4)], ['answerer']));
    expect(belowLog(chart)).toEqual({ left: 2, all: 3 });
    expect(belowLog(smoothed(chart, 50))).toEqual({ left: 2, all: 3 });
  });
});

describe('the choices for charts', () => {
  it('are taken back as they were kept, and nothing else', () => {
    expect(areChoices(JSON.parse(JSON.stringify({ reach: 15, axis: 'clock', log: ['kl'] })))).toBe(true);
    expect(areChoices(plainCharts)).toBe(true);
    for (const foreign of [
      null,
      5,
      { ...plainCharts, reach: 3 },
      { ...plainCharts, axis: 'moon' },
      { ...plainCharts, log: [1] },
    ])
      // prettier-ignore
      expect(areChoices(foreign)).toBe(false);
  });
});
