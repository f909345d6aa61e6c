/**
 * What all charts of a page are looked at with: their x axis and how much of it is shown, smoothing, which have a log scale,
 * and the lines left out. What was measured stays as it is.
 */
import { SvelteSet } from 'svelte/reactivity';
import { LEAST_MS, type Extent, type XAxis } from './axes.ts';
import { plainCharts, type ChartChoices } from './chart-memory.ts';

/** Of the x axis, in its units. */
export type Range = readonly [from: number, to: number];

export class ChartView {
  /** Null shows all. */
  range = $state.raw<Range | null>(null);
  reach = $state(0);
  #axis = $state.raw<XAxis>('step');
  readonly #log: SvelteSet<string>;
  /** Lines left out, by the run they are of, else by their label. */
  readonly hidden = new SvelteSet<string>();

  constructor({ reach, axis, log }: ChartChoices = plainCharts) {
    this.reach = reach;
    this.#axis = axis;
    this.#log = new SvelteSet(log);
  }

  get axis(): XAxis {
    return this.#axis;
  }

  /** What was shown of the old axis means nothing on the new one. */
  set axis(axis: XAxis) {
    if (axis === this.#axis) return;
    this.#axis = axis;
    this.range = null;
  }

  isLog(chart: string): boolean {
    return this.#log.has(chart);
  }

  toggleLog(chart: string): void {
    if (!this.#log.delete(chart)) this.#log.add(chart);
  }

  toggle(name: string): void {
    if (!this.hidden.delete(name)) this.hidden.add(name);
  }

  all(): void {
    this.range = null;
    this.hidden.clear();
  }

  get choices(): ChartChoices {
    return { reach: this.reach, axis: this.#axis, log: [...this.#log] };
  }
}

const leastOf = ({ whole }: Extent): number => (whole ? 2 : LEAST_MS);

/** What was dragged over, outward to whole steps; null where that is too little to see alone. */
export function dragged(one: number, other: number, extent: Extent): Range | null {
  const [from, to] = [Math.min(one, other), Math.max(one, other)];
  const low = Math.max(extent.from, extent.whole ? Math.floor(from) : from);
  const high = Math.min(extent.to, extent.whole ? Math.ceil(to) : to);
  return high - low < leastOf(extent) ? null : [low, high];
}

/** Half as much around a place, or twice as much; null for all. */
export function zoomed(range: Range | null, around: number, extent: Extent, by: 'in' | 'out'): Range | null {
  const [from, to] = range ?? [extent.from, extent.to];
  const width = (to - from) * (by === 'in' ? 0.5 : 2);
  if (width >= extent.to - extent.from) return null;
  if (width < leastOf(extent)) return range;
  const low = Math.min(Math.max(extent.from, around - width / 2), extent.to - width);
  const start = extent.whole ? Math.round(low) : low;
  return [start, extent.whole ? Math.round(start + width) : start + width];
}
