/** The runs that are compared: read once, kept fresh while their steps arrive, and each tested against the first. */
import { SvelteMap } from 'svelte/reactivity';
import type { RunDetail, TraceSummary } from '../../workflows/protocol.ts';
import type { Session } from '../app/session.svelte.ts';
import { lastTest, pairedDifference, runOfStep, type Paired } from './compare.ts';
import { withStep } from './step-facts.ts';

/** Held-out questions read of each run; evaluations of more are compared on these. */
const QUESTIONS_MAX = 2_000;

export class Comparison {
  readonly details = new SvelteMap<string, RunDetail>();
  readonly pairs = new SvelteMap<string, Paired | null>();
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  /** Starts listening for steps; returns the way to stop. */
  open(): () => void {
    return this.#session.onStep((run, metrics) => {
      const detail = this.details.get(run);
      if (detail) this.details.set(run, { ...detail, metrics: withStep(detail.metrics, metrics) });
    });
  }

  /** Reads what is chosen and not here yet, and compares each run's last held-out test with the first one's. */
  async show(ids: readonly string[]): Promise<void> {
    // Put here together: the charts of all of them are made anew whenever one comes.
    const wanted = ids.filter((id) => !this.details.has(id));
    const read = await Promise.all(wanted.map((id) => this.#session.attempt((api) => api.run(id))));
    for (const detail of read) if (detail) this.details.set(detail.config.id, detail);
    const [first, ...rest] = ids;
    if (first === undefined || rest.length === 0) return;
    const base = await this.#lastAnswers(first);
    for (const id of rest) {
      const answers = await this.#lastAnswers(id);
      this.pairs.set(
        `${first} ${id}`,
        base && answers && this.#sameTask(first, id) ? pairedDifference(base, answers) : null,
      );
    }
  }

  /** Questions of two tasks may have the same ids. */
  #sameTask(a: string, b: string): boolean {
    const [first, second] = [a, b].map((id) => this.details.get(id)?.config.task);
    return first?.name === second?.name && first?.path === second?.path;
  }

  /** Null where a run has no test yet. */
  async #lastAnswers(id: string): Promise<readonly TraceSummary[] | null> {
    const detail = this.details.get(id);
    const step = detail ? lastTest(detail.metrics) : null;
    if (!detail || step === null) return null;
    const holder = runOfStep(this.#session.runs, id, step);
    const list = await this.#session.attempt((api) =>
      api.traces(holder, { step, phase: 'eval', limit: QUESTIONS_MAX }),
    );
    return list?.rows ?? null;
  }
}
