/** How wide and high the panels around the canvas are, as this person left them; null where the layout decides. */
import { recall, remember } from '../app/remember.ts';

const panels = ['left', 'right', 'cast'] as const;
export type Panel = (typeof panels)[number];
type Sizes = Readonly<Partial<Record<Panel, number>>>;

function isSizes(value: unknown): value is Sizes {
  return (
    value !== null &&
    typeof value === 'object' &&
    Object.entries(value).every(([name, size]) => panels.some((one) => one === name) && Number.isFinite(size))
  );
}

export class Panels {
  sizes = $state.raw<Sizes>(recall('panels', isSizes) ?? {});

  set(panel: Panel, size: number | null): void {
    const { [panel]: _, ...others } = this.sizes;
    this.sizes = size === null ? others : { ...others, [panel]: size };
    remember('panels', Object.keys(this.sizes).length > 0 ? this.sizes : null);
  }
}
