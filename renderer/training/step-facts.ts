/** Plain figures of the latest steps: speed, time and drops, for the line under a run's title. */
import type { StepMetrics } from '../../workflows/schema/run.ts';

export type StepFacts = {
  readonly tokensPerSecond: number | null;
  readonly stepMs: number | null;
  readonly dropped: number;
  /** The engine's highest memory so far. */
  readonly peakBytes: number | null;
};

export function stepFacts(metrics: readonly StepMetrics[]): StepFacts {
  const trained = metrics.filter((step) => step.step > 0);
  const last = trained.at(-1);
  const recent = trained.slice(-5).flatMap((step) => {
    return step.timing.stepMs === undefined ? [] : [step.timing.stepMs];
  });
  return {
    tokensPerSecond: last?.timing.tokensPerSecond ?? null,
    stepMs: recent.length === 0 ? null : recent.reduce((sum, ms) => sum + ms, 0) / recent.length,
    peakBytes: last?.timing.peakBytes ?? null,
    dropped: trained.reduce((sum, step) => sum + (step.rollout.dropped ?? 0), 0),
  };
}

/** A step that arrives again (after a resume) replaces the old one. */
export function withStep(metrics: readonly StepMetrics[], step: StepMetrics): StepMetrics[] {
  const kept = metrics.filter((one) => one.step !== step.step);
  return [...kept, step].sort((a, b) => a.step - b.step);
}
