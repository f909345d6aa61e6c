/** How this person looked at charts last. */
import { recall, remember } from '../app/remember.ts';
import { xAxes, type XAxis } from './axes.ts';
import { reaches } from './smooth.ts';

export type ChartChoices = {
  /** How far curves are smoothed. */
  readonly reach: number;
  readonly axis: XAxis;
  /** Charts with a log scale, by their id. */
  readonly log: readonly string[];
};

export const plainCharts: ChartChoices = { reach: 0, axis: 'step', log: [] };

/** Charts of roles have ids of their own, and teams have many. */
const LOG_MAX = 200;

export function recallCharts(): ChartChoices {
  return recall('charts', areChoices) ?? plainCharts;
}

export function rememberCharts({ reach, axis, log }: ChartChoices): void {
  remember('charts', { reach, axis, log: log.slice(-LOG_MAX) });
}

export function areChoices(value: unknown): value is ChartChoices {
  if (typeof value !== 'object' || value === null) return false;
  const { reach, axis, log } = value as Record<string, unknown>;
  return (
    reaches.some((one) => one === reach) &&
    xAxes.some((one) => one === axis) &&
    Array.isArray(log) &&
    log.length <= LOG_MAX &&
    log.every((one) => typeof one === 'string')
  );
}
