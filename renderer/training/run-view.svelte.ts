/** One open run: what the controller knows of it, kept fresh while steps arrive; charts come back after a reload from disk. */
import type { RunDetail } from '../../workflows/protocol.ts';
import type { Session } from '../app/session.svelte.ts';
import { withStep } from './step-facts.ts';

export class RunView {
  detail = $state.raw<RunDetail | null>(null);
  loading = $state(true);
  readonly #session: Session;
  readonly #id: string;

  constructor(session: Session, id: string) {
    this.#session = session;
    this.#id = id;
  }

  /** Starts listening and loads; returns the way to stop. */
  open(): () => void {
    void this.load();
    return this.#session.onStep((run, metrics) => {
      if (run === this.#id && this.detail)
        this.detail = { ...this.detail, metrics: withStep(this.detail.metrics, metrics) };
    });
  }

  async load(): Promise<void> {
    this.loading = true;
    const detail = await this.#session.attempt((api) => api.run(this.#id));
    if (detail) this.detail = detail;
    this.loading = false;
  }
}
