/** One open run: what the controller knows of it, kept fresh while steps arrive; charts come back after a reload from disk. */
import type { RunDetail } from '../../workflows/protocol.ts';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import type { Session } from '../app/session.svelte.ts';
import { withStep } from './step-facts.ts';

/** Where steps are slow, checkpoints come between those that were asked for. */
const LOOK_AGAIN_MS = 60_000;

export class RunView {
  detail = $state.raw<RunDetail | null>(null);
  loading = $state(true);
  readonly #session: Session;
  readonly #id: string;
  #looked = Date.now();

  constructor(session: Session, id: string) {
    this.#session = session;
    this.#id = id;
  }

  /** Starts listening and loads; returns the way to stop. */
  open(): () => void {
    void this.load();
    return this.#session.onStep((run, metrics) => {
      if (run !== this.#id || !this.detail) return;
      this.detail = { ...this.detail, metrics: withStep(this.detail.metrics, metrics) };
      void this.#lookForCheckpoints(metrics, this.detail);
    });
  }

  /** A step is told of once its checkpoint is on disk. */
  async #lookForCheckpoints({ step }: StepMetrics, { config }: RunDetail): Promise<void> {
    if (step % config.settings.checkpointEvery !== 0 && Date.now() - this.#looked < LOOK_AGAIN_MS) return;
    this.#looked = Date.now();
    const read = await this.#session.attempt((api) => api.run(this.#id));
    if (read && this.detail) this.detail = { ...this.detail, checkpoints: read.checkpoints };
  }

  async load(): Promise<void> {
    this.loading = true;
    const detail = await this.#session.attempt((api) => api.run(this.#id));
    if (detail) this.detail = detail;
    this.loading = false;
  }
}
