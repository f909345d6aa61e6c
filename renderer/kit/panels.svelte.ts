/** How wide and high the panels of a place are, as this person left them; where nothing is set, the layout decides. */
import { recall, remember } from '../app/remember.ts';

type Sizes = Readonly<Partial<Record<string, number>>>;

function isSizes(value: unknown): value is Sizes {
  return value !== null && typeof value === 'object' && Object.values(value).every(Number.isFinite);
}

export class Panels {
  sizes = $state.raw<Sizes>({});
  readonly #key: string;

  /** Remembered under `key`. */
  constructor(key: string) {
    this.#key = key;
    this.sizes = recall(key, isSizes) ?? {};
  }

  /** As a style: `--<panel>: <size>px` for each that is set. */
  get style(): string {
    return Object.entries(this.sizes)
      .map(([panel, size]) => `--${panel}: ${size}px`)
      .join('; ');
  }

  set(panel: string, size: number | null): void {
    const { [panel]: _, ...others } = this.sizes;
    this.sizes = size === null ? others : { ...others, [panel]: size };
    remember(this.#key, Object.keys(this.sizes).length > 0 ? this.sizes : null);
  }
}
