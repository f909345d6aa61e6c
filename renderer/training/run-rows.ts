/** The runs table: one row a run, filtered by text and ordered by a column. Pure text and numbers, no screen. */
import type { Job, RunSummary } from '../../workflows/protocol.ts';
import { score, signed, when } from '../kit/format.ts';
import { words } from '../words.ts';
import { scoreOf } from './series.ts';

export const columns = ['title', 'created', 'team', 'task', 'cast', 'model', 'seed', 'step', 'before', 'now', 'gain', 'state'] as const; // prettier-ignore
export type Column = (typeof columns)[number];
export type Order = { readonly by: Column; readonly down: boolean };

export const numeric: readonly Column[] = ['seed', 'step', 'before', 'now', 'gain'];

export type Row = {
  readonly run: RunSummary;
  readonly cells: Readonly<Record<Column, string>>;
  readonly from: RunSummary['from'] | undefined;
};

type Value = string | number | null;

function valuesOf(run: RunSummary, job: Job | undefined): Record<Column, Value> {
  const [before, now] = [scoreOf(run.before) ?? null, scoreOf(run.latest) ?? null];
  return {
    title: run.title,
    created: run.created,
    team: run.workflow,
    task: run.task,
    cast: run.cast,
    model: run.model,
    seed: run.seed,
    step: job?.step ?? run.step,
    before,
    now,
    gain: before === null || now === null ? null : now - before,
    state: words.job.states[job?.state ?? run.state],
  };
}

/** Rows whose text holds every word of the filter, in the order asked for; a missing number comes last either way. */
export function rowsOf(
  runs: readonly RunSummary[],
  jobs: ReadonlyMap<string, Job>,
  { filter, order }: { filter: string; order: Order },
): Row[] {
  const wanted = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return runs
    .map((run) => ({ run, values: valuesOf(run, jobs.get(run.id)) }))
    .filter(({ run, values }) => {
      const text = `${run.id} ${run.note ?? ''} ${Object.values(values).join(' ')}`.toLowerCase();
      return wanted.every((word) => text.includes(word));
    })
    .sort((a, b) => compared(a.values[order.by], b.values[order.by], order.down))
    .map(({ run, values }) => ({ run, from: run.from, cells: cellsOf(run, values) }));
}

function compared(a: Value, b: Value, down: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const rising = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
  return down ? -rising : rising;
}

function cellsOf(run: RunSummary, values: Record<Column, Value>): Record<Column, string> {
  const now = score(values.now as number | null);
  const error = run.latest?.stderr;
  return {
    ...(Object.fromEntries(columns.map((column) => [column, String(values[column] ?? '')])) as Record<Column, string>),
    created: when(run.created),
    step: `${values.step} / ${run.steps}`,
    before: score(values.before as number | null),
    now: error === undefined ? now : `${now} ± ${score(1.96 * error)}`,
    gain: signed(values.gain as number | null),
  };
}

/** The order after a click on a column: numbers and dates begin with the largest, text with A. */
export function reordered(order: Order, by: Column): Order {
  if (order.by === by) return { by, down: !order.down };
  return { by, down: numeric.includes(by) || by === 'created' };
}

/** Chosen runs after one is ticked or unticked, in the order they were chosen. */
export function toggled(chosen: readonly string[], id: string): string[] {
  return chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id];
}
