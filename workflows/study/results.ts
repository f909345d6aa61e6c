/**
 * What a study's finished cells came to: each arm's curves, its final and its best held-out score, what it cost, and for
 * every two arms that differ in one thing alone the paired difference with its interval. Reads runs; draws nothing.
 */
import type { StepMetrics } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import { paths } from '../workspace/layout.ts';
import { readMetrics, readRun, readState } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { readThinTraces } from '../workspace/traces.ts';
import { pairedBootstrap, type Interval } from './bootstrap.ts';
import type { CellNotes } from './cells.ts';
import { axes, type Arm, type Axis, type Cell } from './plan.ts';

/** One finished run. */
export type CellResult = {
  readonly id: string;
  readonly seed: number;
  readonly metrics: readonly StepMetrics[];
  readonly final: number;
  /** The best of the evaluations after training began, and its step. */
  readonly peak: number;
  readonly peakStep: number;
  readonly legal: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly peakBytes: number;
  /** Held-out scores by question, at the last evaluation and at the best. */
  readonly finalScores: ReadonlyMap<string, number>;
  readonly peakScores: ReadonlyMap<string, number>;
};

export type ArmResult = { readonly arm: Arm; readonly label: string; readonly cells: readonly CellResult[] };

export type Difference = {
  readonly axis: Axis;
  readonly one: string;
  readonly other: string;
  readonly seeds: number;
  readonly questions: number;
  /** one - other, of the final score, the best score, and the fall from best to final. */
  readonly final: Interval;
  readonly peak: Interval;
  readonly gap: Interval;
};

export type StudyResults = {
  readonly metric: string;
  readonly device: string;
  readonly steps: number;
  readonly queries: number;
  readonly samples: readonly number[];
  readonly arms: readonly ArmResult[];
  readonly differences: readonly Difference[];
  /** Cells that are not finished, with the reason where one is known. */
  readonly missing: readonly { readonly id: string; readonly why: string }[];
};

/** null where no cell is finished yet. */
export async function studyResults(
  store: Store,
  cells: readonly Cell[],
  notes: CellNotes,
): Promise<StudyResults | null> {
  const arms = new Map<string, { arm: Arm; label: string; cells: CellResult[] }>();
  const missing: { id: string; why: string }[] = [];
  const varied = axes.filter((axis) => new Set(cells.map(({ arm }) => arm[axis])).size > 1);
  for (const cell of cells) {
    const state = (await readState(store, cell.id))?.state;
    if (state !== 'done') {
      missing.push({ id: cell.id, why: notes[cell.id]?.error ?? state ?? 'not begun' });
      continue;
    }
    const result = await cellResult(store, cell, notes[cell.id]?.peakBytes ?? 0);
    if (result === null) {
      missing.push({ id: cell.id, why: 'its metrics are damaged' });
      continue;
    }
    const key = JSON.stringify(axes.map((axis) => cell.arm[axis]));
    const found = arms.get(key) ?? { arm: cell.arm, label: labelOf(cell.arm, varied), cells: [] };
    arms.set(key, found);
    found.cells.push(result);
  }
  const [first] = arms.values();
  if (first === undefined) return null;
  const { settings, device } = await readRun(store, first.cells[0].id);
  const finished = [...arms.values()];
  return {
    metric: first.cells[0].metrics.findLast((line) => line.eval)?.eval?.metric ?? 'f1',
    device: device.name,
    steps: settings.steps,
    queries: settings.queries,
    samples: [...new Set(cells.map(({ request }) => request.samples ?? 1))],
    arms: finished,
    differences: differencesOf(finished),
    missing,
  };
}

/** What tells the arm from the others; its cast where it is the only one. */
function labelOf(arm: Arm, varied: readonly Axis[]): string {
  return varied.length === 0 ? arm.cast : varied.map((axis) => arm[axis]).join(' · ');
}

/** null where the run's lines hold no evaluation after training. */
async function cellResult(store: Store, { id, seed }: Cell, peakBytes: number): Promise<CellResult | null> {
  const metrics = await readMetrics(store, id);
  const evaluated = metrics.filter((line) => line.eval !== undefined);
  const trained = evaluated.filter((line) => line.step > 0);
  const last = trained.at(-1);
  if (last === undefined || metrics[0].eval === undefined) return null;
  const best = trained.reduce((a, b) => (scoreOf(b) > scoreOf(a) ? b : a));
  const sum = (of: (line: StepMetrics) => number) => metrics.reduce((total, line) => total + of(line), 0);
  return {
    id,
    seed,
    metrics,
    final: scoreOf(last),
    peak: scoreOf(best),
    peakStep: best.step,
    legal: last.eval!.legal,
    tokens: sum(({ policies }) => Object.values(policies).reduce((total, { tokens = 0 }) => total + tokens, 0)),
    seconds: sum(({ timing }) => (timing.stepMs ?? 0) + (timing.evalMs ?? 0)) / 1_000,
    peakBytes,
    finalScores: await questionScores(store, id, last),
    peakScores: await questionScores(store, id, best),
  };
}

/** The held-out score of a step's line, in the task's own metric. */
export function scoreOf({ eval: held }: StepMetrics): number {
  return held?.score ?? held?.f1 ?? 0;
}

async function questionScores(
  store: Store,
  run: string,
  { step, eval: held }: StepMetrics,
): Promise<Map<string, number>> {
  // A person may have removed the traces to save room: the run still has its curves.
  if ((await store.stat(paths.traceLines(run, step))) === null) return new Map();
  const traces = (await readThinTraces(store, run, step)).filter(({ phase }) => phase === 'eval');
  return new Map(traces.map((trace) => [trace.query.id, traceScore(trace, held?.metric ?? 'f1')]));
}

/** A dropped question counts as a wrong one, as in the evaluation. */
function traceScore({ status, score }: Trace, metric: string): number {
  return status === 'done' ? (score[metric] ?? 0) : 0;
}

function differencesOf(arms: readonly ArmResult[]): Difference[] {
  return arms.flatMap((one, i) =>
    arms.slice(i + 1).flatMap((other) => {
      const apart = axes.filter((axis) => one.arm[axis] !== other.arm[axis]);
      const found = apart.length === 1 ? difference(one, other, apart[0]) : null;
      return found === null ? [] : [found];
    }),
  );
}

/** Over the seeds and questions both arms have; null where they have none in common. */
function difference(one: ArmResult, other: ArmResult, axis: Axis): Difference | null {
  const pairs = one.cells.flatMap((cell) => {
    const twin = other.cells.find(({ seed }) => seed === cell.seed);
    return twin === undefined ? [] : [[cell, twin] as const];
  });
  if (pairs.length === 0) return null;
  const shared = [...pairs[0][0].finalScores.keys()].filter((id) =>
    pairs.every((pair) => pair.every((cell) => cell.finalScores.has(id) && cell.peakScores.has(id))),
  );
  if (shared.length === 0) return null;
  const interval = (of: (cell: CellResult, id: string) => number): Interval =>
    pairedBootstrap(pairs.map(([a, b]) => shared.map((id) => of(a, id) - of(b, id))));
  return {
    axis,
    one: one.label,
    other: other.label,
    seeds: pairs.length,
    questions: shared.length,
    final: interval((cell, id) => cell.finalScores.get(id)!),
    peak: interval((cell, id) => cell.peakScores.get(id)!),
    gap: interval((cell, id) => cell.peakScores.get(id)! - cell.finalScores.get(id)!),
  };
}
