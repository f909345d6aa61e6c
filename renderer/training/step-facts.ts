/** Plain figures of the latest steps: speed, time and drops, for the line under a run's title. */
import type { StepMetrics } from '../../workflows/schema/run.ts';

export type StepFacts = { readonly tokensPerSecond: number | null; readonly stepMs: number | null; readonly dropped: number };

/** The timing entry that tells tokens a second, whatever phase it is of. */
export function tokenRate(timing: Readonly<Record<string, number>>): number | null {
  const key = Object.keys(timing).find((name) => /tokens?_?per_?s/i.test(name));
  return key === undefined ? null : timing[key];
}

export function stepFacts(metrics: readonly StepMetrics[]): StepFacts {
  const trained = metrics.filter((step) => step.step > 0);
  const last = trained.at(-1);
  const recent = trained.slice(-5).flatMap((step) => {
    const ms = step.timing.stepMs ?? step.timing.totalMs;
    return ms === undefined ? [] : [ms];
  });
  return {
    tokensPerSecond: last ? tokenRate(last.timing) : null,
    stepMs: recent.length === 0 ? null : recent.reduce((sum, ms) => sum + ms, 0) / recent.length,
    dropped: trained.reduce((sum, step) => sum + (step.rollout.dropped ?? 0), 0),
  };
}
