/**
 * What a run will need, by formula, and what runs like it were measured to need: the first step of any run corrects the
 * estimate of the next. Bytes and milliseconds; nothing here decides whether a run may start.
 */
import type { ModelInfo } from '../../engine/protocol.ts';
import type { RunSummary } from '../../workflows/protocol.ts';

export type Planned = {
  readonly workflow: string;
  readonly model: string;
  readonly method: 'full' | 'lora';
  /** Policies that are trained. */
  readonly policies: number;
  /** Undefined where the default is taken. */
  readonly queries: number | undefined;
};

/** Weights and two moments in 32 bits. */
const BYTES_A_TRAINED_PARAMETER = 12;

/** By formula: one policy as the engine estimates it, and every further fully trained one with its own weights and moments. */
export function plannedBytes(info: Pick<ModelInfo, 'memory' | 'parameters'>, { method, policies }: Planned): number {
  if (method === 'lora') return info.memory.trainLora;
  return info.memory.trainFull + Math.max(0, policies - 1) * info.parameters * BYTES_A_TRAINED_PARAMETER;
}

export type MeasuredRun = { readonly title: string; readonly peakBytes: number; readonly stepMs: number | null };

/**
 * The newest run like this one that was measured on this device: the same team, model, method and number of trained
 * policies. A step's time is taken where it had as many questions.
 */
export function measuredLike(runs: readonly RunSummary[], planned: Planned, device: string): MeasuredRun | null {
  const like = runs.filter(
    ({ workflow, model, trained, measured }) =>
      measured?.device === device &&
      workflow === planned.workflow &&
      model === planned.model &&
      trained.method === planned.method &&
      trained.policies === planned.policies,
  );
  const newest = like.toSorted((a, b) => b.created.localeCompare(a.created))[0];
  if (newest?.measured === undefined) return null;
  const { peakBytes, stepMs } = newest.measured;
  const sameLoad = planned.queries === undefined || planned.queries === newest.trained.queries;
  return { title: newest.title, peakBytes, stepMs: sameLoad ? stepMs : null };
}

export type MeasuredTeam = { readonly stepMs: number; readonly queries: number; readonly model: string };

/** What a step of the team's newest run on this device took; null where it never trained here. */
export function measuredHere(runs: readonly RunSummary[], workflow: string, device: string): MeasuredTeam | null {
  const here = runs.filter((run) => run.workflow === workflow && run.measured?.device === device);
  const newest = here.toSorted((a, b) => b.created.localeCompare(a.created))[0];
  if (newest?.measured === undefined) return null;
  return { stepMs: newest.measured.stepMs, queries: newest.trained.queries, model: newest.model };
}
