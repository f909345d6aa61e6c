/**
 * What one rule gives one record (or, at trajectory level, the whole trace), before weight and share: a number with the
 * terms it is made of. Null means the record is no training sample at all.
 */
import { UserError } from '../../engine/errors.ts';
import { celNames, evaluateCel } from '../run/cel.ts';
import type { RewardRule, RewardValue, Series } from '../schema/reward.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Json } from '../schema/value.ts';
import {
  defaultLambda,
  programShares,
  simpleProgramShares,
  simpleTestShares,
  testShares,
  type Matrix,
  type Share,
} from './cure.ts';
import { rewardScope } from './scope.ts';
import { changeOf, measured, seriesOf } from './series.ts';

type ValueOf<Kind extends RewardValue['kind']> = Extract<RewardValue, { kind: Kind }>;

/** What the function of a rule in JavaScript gave: for one record, or null for the whole trace. */
export type Computed = (rule: RewardRule, record: TraceRecord | null) => number;

/** The value of a rule. Throws a UserError naming the rule where it cannot be computed. */
export function ruleValue(rule: RewardRule, trace: Trace, record: TraceRecord | null, computed: Computed): Share {
  const { value } = rule;
  const golds = trace.query.answers;
  switch (value.kind) {
    case 'score':
      return scoreValue(rule.id, value.metric, trace);
    case 'cel':
      return plain('value', celValue(rule.id, value.expression, trace, record));
    case 'javascript':
      return plain('value', computed(rule, record));
    case 'last': {
      const last = seriesOf(trace, value.of).at(-1);
      const measure = () => measured(value.metric, last?.outputs[value.of.port] as Json | undefined, golds);
      return plain(value.metric, last === undefined ? value.start : named(rule.id, measure));
    }
    case 'own': {
      const own = ownOutput(rule.id, value.port, ofRecord(rule, record));
      return plain(
        value.metric,
        named(rule.id, () => measured(value.metric, own, golds)),
      );
    }
    case 'change':
      return named(rule.id, () => changeValue(value, trace, ofRecord(rule, record)));
    case 'cure':
      return cureValue(rule.id, value, trace, ofRecord(rule, record));
    default:
      return value satisfies never;
  }
}

/** Whether a rule can say nothing of a question without gold answers. */
export function needsGolds({ value }: RewardRule, trace: Trace): boolean {
  switch (value.kind) {
    case 'score':
      return trace.score[value.metric] === undefined;
    case 'cel':
      return celNames(value.expression).some((name) => name === 'query' || name === 'score');
    case 'javascript':
      return /\b(?:answers|score)\b/.test(value.source);
    case 'own':
    case 'last':
    case 'change':
      return value.metric !== 'value';
    case 'cure':
      return false;
    default:
      return value satisfies never;
  }
}

function plain(name: string, value: number): Share {
  return { value, terms: { [name]: value } };
}

function ofRecord(rule: RewardRule, record: TraceRecord | null): TraceRecord {
  if (record !== null) return record;
  throw new UserError(
    `The reward ${rule.id} is of single records, not of a whole trajectory: ${rule.value.kind}; give it level role or turn`,
  );
}

function named<T>(rule: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof UserError ? new UserError(`The reward ${rule} cannot be computed. ${error.message}`) : error;
  }
}

function scoreValue(rule: string, metric: string, trace: Trace): Share {
  const value = trace.score[metric];
  if (value === undefined)
    throw new UserError(
      `The reward ${rule} reads a score that the task does not give: ${metric}; use one of ${Object.keys(trace.score).join(', ')}`,
    );
  return plain(metric, value);
}

function ownOutput(rule: string, port: string | undefined, record: TraceRecord): Json | undefined {
  const ports = Object.keys(record.outputs);
  if (port === undefined && ports.length !== 1)
    throw new UserError(
      `The reward ${rule} does not say which output it is of, and ${record.node} has ${ports.join(', ')}; name its port`,
    );
  return record.outputs[port ?? ports[0]] as Json | undefined;
}

function changeValue({ of, metric, start }: ValueOf<'change'>, trace: Trace, record: TraceRecord): Share {
  const found = changeOf(trace, of, record);
  if (found === null) return { value: 0, terms: { change: 0 } };
  const measure = (each: TraceRecord): number => measured(metric, each.outputs[of.port] as Json, trace.query.answers);
  const [after, before] = [measure(found.after), found.before === null ? start : measure(found.before)];
  return { value: after - before, terms: { after, before } };
}

function cureValue(rule: string, value: ValueOf<'cure'>, trace: Trace, record: TraceRecord): Share {
  const [matrix, truth] = [matrixOf(rule, value.matrix, trace), matrixOf(rule, value.truth, trace)];
  const beside = trace.records.filter((each) => each.node === record.node && each.turn === record.turn);
  const lambda = value.lambda ?? defaultLambda[value.side];
  return cureShares(value, matrix, truth, beside, lambda)[record.index ?? 0] ?? null;
}

function cureShares(
  { side, scheme }: ValueOf<'cure'>,
  matrix: Matrix,
  truth: Matrix,
  beside: readonly TraceRecord[],
  lambda: number,
): Share[] {
  if (side === 'programs') return scheme === 'full' ? programShares(truth) : simpleProgramShares(matrix, truth, lambda);
  if (scheme === 'full') return testShares(matrix, truth, beside.length);
  const lengths = beside.map((each) => each.length ?? 0);
  return simpleTestShares(matrix, truth, lengths, lambda);
}

function matrixOf(rule: string, series: Series, trace: Trace): Matrix {
  const last = seriesOf(trace, series).at(-1);
  if (last === undefined) return []; // the tests never ran, so nothing is known of any record
  const rows = last.outputs[series.port];
  const isRow = (row: unknown): boolean =>
    row === null || (Array.isArray(row) && row.every((cell) => typeof cell === 'boolean'));
  // A program whose tests could not run has no row.
  if (Array.isArray(rows) && rows.every(isRow)) return rows.map((row) => (row ?? []) as boolean[]);
  throw new UserError(
    `The reward ${rule} needs a list of flags for each program, but ${'node' in series ? series.node : series.role}.${series.port} holds ${JSON.stringify(rows).slice(0, 60)}; name the port of a test tool that runs once for each program`,
  );
}

function celValue(rule: string, expression: string, trace: Trace, record: TraceRecord | null): number {
  const value = named(rule, () => evaluateCel(expression, rewardScope(trace, record)));
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (typeof value === 'number') return value;
  throw new UserError(
    `The reward ${rule} must be a number, but it is ${JSON.stringify(value).slice(0, 60)}; let its expression end in a number or a condition`,
  );
}
