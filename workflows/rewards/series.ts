/**
 * Series of values within one trace: the answers or pass rates that the turns of a team bring forth, which record each came
 * of, and what a record changed in them. Knows descent (parents), never node names' meaning or turns' numbers.
 */
import { UserError } from '../../engine/errors.ts';
import type { Series } from '../schema/reward.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Json } from '../schema/value.ts';
import { metrics, scoreAnswer } from './answer.ts';

/** The records that wrote a series, in the trace's order. */
export function seriesOf(trace: Pick<Trace, 'records'>, series: Series): TraceRecord[] {
  return trace.records.filter(
    (record) =>
      ('role' in series ? record.role === series.role : record.node === series.node) &&
      Object.hasOwn(record.outputs, series.port),
  );
}

/**
 * The first record of the series that `record` led to, and the one before it in the series. Null where nothing came of it;
 * `before` is null where the series begins with what came of it. A record comes of itself.
 */
export function changeOf(
  trace: Pick<Trace, 'records'>,
  series: Series,
  record: Pick<TraceRecord, 'id'>,
): { after: TraceRecord; before: TraceRecord | null } | null {
  const written = seriesOf(trace, series);
  const descendants = descendantsOf(trace, record.id);
  const at = written.findIndex((each) => descendants.has(each.id));
  return at < 0 ? null : { after: written[at], before: at === 0 ? null : written[at - 1] };
}

/** The record and all whose values came of it; parents always stand before their children. */
function descendantsOf(trace: Pick<Trace, 'records'>, id: string): Set<string> {
  const found = new Set([id]);
  for (const record of trace.records) if (record.parents.some((parent) => found.has(parent))) found.add(record.id);
  return found;
}

/** A value as a number: a metric of its text against the golds, or itself. Throws a UserError for a metric there is not. */
export function measured(metric: string, value: Json | undefined, golds: readonly string[]): number {
  if (metric === 'value') {
    if (typeof value === 'number') return value;
    if (typeof value === 'boolean') return value ? 1 : 0;
    throw new UserError(
      `A number is needed, but the value is ${shown(value)}; name a port that holds a number or flag`,
    );
  }
  const known = metrics.find((each) => each === metric);
  if (known === undefined)
    throw new UserError(`There is no such measure: ${metric}; use ${metrics.join(', ')} or value`);
  if (typeof value !== 'string')
    throw new UserError(`${metric} is of a text, but the value is ${shown(value)}; name a port that holds a text`);
  const scores: Partial<Record<string, number>> = scoreAnswer(value, golds, known);
  return scores[metric] ?? 0;
}

function shown(value: Json | undefined): string {
  return value === undefined ? 'absent' : JSON.stringify(value).slice(0, 60);
}
