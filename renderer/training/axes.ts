/**
 * The axes of charts. Along x a step stands at its number, at the time its run had been at work, or at the clock time it
 * ended; times are milliseconds, from what each step measured. Along y a scale may be logarithmic.
 */
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { clockTime, elapsed } from '../kit/format.ts';

export const xAxes = ['step', 'time', 'clock'] as const;
export type XAxis = (typeof xAxes)[number];

export type Placed = { readonly metrics: readonly StepMetrics[]; readonly x: readonly number[] };

/** The steps that have a place on an axis, in their order, and those places, which never fall. A step without times has none. */
export function placedOn(axis: XAxis, metrics: readonly StepMetrics[]): Placed {
  if (axis === 'step') return { metrics, x: metrics.map(({ step }) => step) };
  const times = axis === 'time' ? timesAtWork(metrics) : clockTimes(metrics);
  return {
    metrics: metrics.filter((_, at) => times[at] !== null),
    x: times.filter((time) => time !== null),
  };
}

/** From the measurement before training on; pauses, and what a branch waited, do not count. */
function timesAtWork(metrics: readonly StepMetrics[]): (number | null)[] {
  let total: number | null = 0;
  return metrics.map(({ step, timing }) => {
    if (step > 0 && total !== null)
      total = timing.stepMs === undefined ? null : total + timing.stepMs + (timing.evalMs ?? 0);
    return total;
  });
}

/** A clock that was set back while a run went on stands still here until it has caught up. */
function clockTimes(metrics: readonly StepMetrics[]): (number | null)[] {
  let latest = -Infinity;
  return metrics.map(({ timing: { at } }) => (at === undefined ? null : (latest = Math.max(latest, at))));
}

export function placeText(axis: XAxis, x: number): string {
  if (axis === 'step') return String(x);
  return axis === 'time' ? elapsed(x) : clockTime(x);
}

/** How much of an axis there is to see; `whole` where there is nothing between two of its numbers. */
export type Extent = { readonly from: number; readonly to: number; readonly whole: boolean };

/** All steps of a run, those to come too; of times only those that were. */
export function extentOf(axis: XAxis, x: readonly number[], lastStep: number): Extent {
  const end = x.at(-1) ?? 0;
  if (axis === 'step') return { from: 0, to: Math.max(1, lastStep, end), whole: true };
  const from = axis === 'time' ? 0 : (x[0] ?? 0);
  return { from, to: Math.max(from + LEAST_MS, end), whole: false };
}

/** The shortest stretch of time that is shown alone. */
export const LEAST_MS = 1_000;

/** Values on a log scale as they are drawn: what was not measured is passed over, and 0 and less breaks the line. */
export function onLogScale(values: readonly (number | null)[]): (number | null | undefined)[] {
  return values.map((value) => (value === null ? undefined : value > 0 ? value : null));
}

/** The lower edge of an interval that reaches to 0 or below goes on beyond the bottom of the chart. */
export function edgeOnLogScale(values: readonly (number | null)[]): (number | undefined)[] {
  return values.map((value) => (value === null ? undefined : Math.max(value, BELOW_ALL)));
}
const BELOW_ALL = 1e-30;
