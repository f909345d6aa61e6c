/**
 * One training job: its state as screens see it, an honest estimate of the time left, and the wish (go, pause, stop) the
 * training loop looks at. The state is on disk at each change, so that a job whose process died is found as paused.
 */
import type { Job, JobState } from '../protocol.ts';
import type { RunConfig, StepMetrics } from '../schema/run.ts';
import { updatedPolicy } from '../train/learn.ts';
import type { TrainHooks, Wish } from '../train/train.ts';
import { writeState } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';

export type JobEvents = { onJob(job: Job): void; onStep(run: string, metrics: StepMetrics): void };

/** Screens call a job stalled after ten seconds without a sign. */
const BREATH_MS = 500;

export class TrainingJob {
  readonly config: RunConfig;
  /** What made it fail; undefined where it did not. */
  failure: unknown = undefined;
  #store: Store;
  #events: JobEvents;
  #wish: Wish = 'go';
  #job: Job;
  #stepMs: number[] = [];
  #evalMs: number[] = [];
  #stepStarted = performance.now();
  /** The last write of the state: two in flight could end in the wrong order. */
  #kept: Promise<void> = Promise.resolve();

  constructor(config: RunConfig, store: Store, events: JobEvents, step = 0) {
    this.config = config;
    this.#store = store;
    this.#events = events;
    this.#job = {
      run: config.id,
      title: config.title,
      state: 'queued',
      step,
      steps: config.settings.steps,
      phase: 'loading',
      done: 0,
      total: 0,
      etaMs: null,
      movedAt: Date.now(),
      ...(config.settings.memoryGiB === undefined ? {} : { budgetBytes: config.settings.memoryGiB * 2 ** 30 }),
    };
  }

  get job(): Job {
    return { ...this.#job, etaMs: this.#eta() };
  }

  rename(title: string): void {
    this.#job = { ...this.#job, title };
    this.#events.onJob(this.job);
  }

  ask(wish: Wish): void {
    this.#wish = wish;
    if (wish !== 'go' && this.#job.state === 'running') void this.become(wish === 'pause' ? 'pausing' : 'stopping');
  }

  async become(state: JobState, error?: string): Promise<void> {
    if (state === 'running') {
      this.#stepStarted = performance.now();
      // Asked while the model was still loading.
      if (this.#wish !== 'go') state = this.#wish === 'pause' ? 'pausing' : 'stopping';
    }
    this.#job = { ...this.#job, state, movedAt: Date.now(), ...(error === undefined ? {} : { error }) };
    this.#events.onJob(this.job);
    const kept = { state, step: this.#job.step, ...(error === undefined ? {} : { error }) };
    this.#kept = this.#kept.then(() => writeState(this.#store, this.config.id, kept));
    await this.#kept;
  }

  /** What happens before the first step: loading a model. */
  preparing(phase: string, done: number, total: number): void {
    this.#move({ phase, done, total });
  }

  /** The engine's own count within a call: only an update's is worth a line of its own. */
  working(call: string, phase: string, done: number, total: number): void {
    const policy = updatedPolicy(this.config.id, call);
    if (policy === null) this.alive();
    else this.#move({ phase: `update ${policy}: ${phase}`, done, total });
  }

  /** Something moved; screens hear of it now and then. */
  alive(): void {
    if (Date.now() - this.#job.movedAt > BREATH_MS) this.#move({});
  }

  hooks(): TrainHooks {
    return {
      wish: () => this.#wish,
      onProgress: ({ step, phase, done, total }) => this.#move({ step: Math.max(0, step - 1), phase, done, total }),
      onStep: (metrics) => this.#stepDone(metrics),
    };
  }

  #move(change: Partial<Job>): void {
    this.#job = { ...this.#job, ...change, movedAt: Date.now() };
    this.#events.onJob(this.job);
  }

  #stepDone(metrics: StepMetrics): void {
    // By the clock and not by the parts, so that checkpoints and traces count; the first evaluation is no step.
    if (metrics.step > 0) this.#stepMs.push(performance.now() - this.#stepStarted - (metrics.timing.evalMs ?? 0));
    if (metrics.eval && metrics.timing.evalMs !== undefined) this.#evalMs.push(metrics.timing.evalMs);
    this.#stepStarted = performance.now();
    this.#move({ step: metrics.step });
    this.#events.onStep(this.config.id, metrics);
  }

  /** The mean of the last ten steps and evaluations, times what is left, less what this step has had already. */
  #eta(): number | null {
    if (this.#stepMs.length === 0 || !['running', 'pausing', 'stopping'].includes(this.#job.state)) return null;
    const recent = (times: readonly number[]) =>
      times.length === 0 ? 0 : times.slice(-10).reduce((a, b) => a + b, 0) / Math.min(10, times.length);
    const { steps, evalEvery } = this.config.settings;
    const evaluations = Math.ceil(steps / evalEvery) - Math.floor(this.#job.step / evalEvery);
    const left = (steps - this.#job.step) * recent(this.#stepMs) + evaluations * recent(this.#evalMs);
    const current = recent(this.#stepMs) + recent(this.#evalMs);
    return Math.max(0, left - Math.min(current, performance.now() - this.#stepStarted));
  }
}
