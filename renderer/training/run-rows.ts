/** The runs table: one row a run, filtered by text and ordered by a column. Pure text and numbers, no screen. */
import type { Job, RunSummary } from '../../workflows/protocol.ts';
import { bytes, score, shortTime, signed, when } from '../kit/format.ts';
import { words } from '../words.ts';
import { scoreOf } from './series.ts';

export const columns = [
  ...(['title', 'created', 'team', 'task', 'cast', 'model', 'method', 'policies', 'queries', 'seed', 'step'] as const),
  ...(['before', 'now', 'gain', 'stepTime', 'memory', 'device', 'state'] as const),
] as const;
export type Column = (typeof columns)[number];
export type Order = { readonly by: Column; readonly down: boolean };

const numbers: readonly Column[] = [
  'policies',
  'queries',
  'seed',
  'step',
  'before',
  'now',
  'gain',
  'stepTime',
  'memory',
];

export function isNumeric(column: Column): boolean {
  return numbers.includes(column);
}

/** Without those that only some comparisons need. */
export const usualColumns: readonly Column[] = columns.filter(
  (one) => !['method', 'policies', 'queries', 'stepTime', 'memory', 'device'].includes(one),
);
export const usualOrder: Order = { by: 'created', down: true };

function isColumn(value: unknown): value is Column {
  return columns.some((one) => one === value);
}

export function areColumns(value: unknown): value is readonly Column[] {
  return Array.isArray(value) && value.every(isColumn);
}

export function isOrder(value: unknown): value is Order {
  if (typeof value !== 'object' || value === null) return false;
  const { by, down } = value as Record<string, unknown>;
  return isColumn(by) && typeof down === 'boolean';
}

/** Chosen columns after one is ticked or unticked, in their usual order; the run's name always stays. */
export function toggledColumn(chosen: readonly Column[], column: Column): readonly Column[] {
  const others = chosen.includes(column) ? chosen.filter((one) => one !== column) : [...chosen, column];
  return columns.filter((one) => one === 'title' || others.includes(one));
}

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
    method: words.training.fields[run.trained.method],
    policies: run.trained.policies,
    queries: run.trained.queries,
    seed: run.seed,
    step: job?.step ?? run.step,
    before,
    now,
    gain: before === null || now === null ? null : now - before,
    stepTime: run.measured?.stepMs ?? null,
    memory: run.measured?.peakBytes ?? null,
    device: run.measured?.device ?? '',
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
    .map((run) => {
      const values = valuesOf(run, jobs.get(run.id));
      return { run, values, from: run.from, cells: cellsOf(run, values) };
    })
    .filter(({ run, cells }) => {
      const text = `${run.id} ${run.note ?? ''} ${Object.values(cells).join(' ')}`.toLowerCase();
      return wanted.every((word) => text.includes(word));
    })
    .sort((a, b) => compared(a.values[order.by], b.values[order.by], order.down))
    .map(({ run, from, cells }) => ({ run, from, cells }));
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
    stepTime: run.measured ? shortTime(run.measured.stepMs) : '–',
    memory: run.measured ? bytes(run.measured.peakBytes) : '–',
  };
}

/** The order after a click on a column: numbers and dates begin with the largest, text with A. */
export function reordered(order: Order, by: Column): Order {
  if (order.by === by) return { by, down: !order.down };
  return { by, down: isNumeric(by) || by === 'created' };
}

/** Chosen runs after one is ticked or unticked, in the order they were chosen. */
export function toggled(chosen: readonly string[], id: string): string[] {
  return chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id];
}
