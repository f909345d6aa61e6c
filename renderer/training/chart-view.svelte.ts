/** What all charts of a page are looked at with: the steps that are shown, and the lines left out. Their measures stay as they are. */
import { SvelteSet } from 'svelte/reactivity';

export type Steps = readonly [from: number, to: number];

export class ChartView {
  /** Null shows all steps. */
  steps = $state.raw<Steps | null>(null);
  /** Lines left out, by the run they are of, else by their label. */
  readonly hidden = new SvelteSet<string>();

  toggle(name: string): void {
    if (!this.hidden.delete(name)) this.hidden.add(name);
  }

  all(): void {
    this.steps = null;
    this.hidden.clear();
  }
}

/** Steps dragged over, outward to whole ones; null where that is less than two steps. */
export function dragged(from: number, to: number, last: number): Steps | null {
  const [low, high] = [Math.max(0, Math.floor(Math.min(from, to))), Math.min(last, Math.ceil(Math.max(from, to)))];
  return high - low < 2 ? null : [low, high];
}

/** Half as many steps around one of them, or twice as many; null for all. */
export function zoomed(steps: Steps | null, around: number, last: number, by: 'in' | 'out'): Steps | null {
  const [from, to] = steps ?? [0, last];
  const width = (to - from) * (by === 'in' ? 0.5 : 2);
  if (width >= last) return null;
  if (width < 2) return steps;
  const low = Math.round(Math.min(Math.max(0, around - width / 2), last - width));
  return [low, Math.round(low + width)];
}
