/** Means over finished traces: what a step's line of metrics and an evaluation say of rollouts. */
import type { Metric } from '../rewards/answer.ts';
import type { Evaluation } from '../schema/run.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import { roleConfusion } from './confusion.ts';

export function mean(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

/** What the trace's task is scored by: only tasks that are scored so count numbers or tests. */
export function scoreOf({ score }: Pick<Trace, 'score'>): number {
  return score['passed'] ?? score['number'] ?? score['f1'] ?? 0;
}

/** The score of a trace that came to an end and was scored at all. */
export function outcomeOf(trace: Pick<Trace, 'score' | 'status'>): number | null {
  return trace.status === 'dropped' || Object.keys(trace.score).length === 0 ? null : scoreOf(trace);
}

export function roleRecords(traces: readonly Trace[]): TraceRecord[] {
  return traces.flatMap((trace) =>
    trace.records.filter((record) => record.kind === 'role' && record.text !== undefined),
  );
}

export function rolloutMetrics(traces: readonly Trace[], metric: Metric): Record<string, number> {
  const done = traces.filter((trace) => trace.status === 'done');
  const records = roleRecords(done);
  return {
    f1: mean(done.map((trace) => trace.score.f1 ?? 0)),
    em: mean(done.map((trace) => trace.score.em ?? 0)),
    score: mean(done.map((trace) => trace.score[metric] ?? 0)),
    ...roundsOf(done),
    reward: mean(records.flatMap((record) => (record.reward === undefined ? [] : [record.reward]))),
    legal: mean(records.map((record) => Number(record.legal))),
    queries: traces.length,
    dropped: traces.length - done.length,
  };
}

/** How often a program was tested until it passed or its team gave up; only where the task has tests. */
function roundsOf(done: readonly Trace[]): { rounds?: number } {
  const rounds = done.flatMap((trace) => trace.score['rounds'] ?? []);
  return rounds.length === 0 ? {} : { rounds: mean(rounds) };
}

function roleMetrics(traces: readonly Trace[]): Record<string, Record<string, number>> {
  const records = roleRecords(traces.filter((trace) => trace.status === 'done'));
  const roles = [...new Set(records.map((record) => record.role!))].sort();
  return Object.fromEntries(
    roles.map((role) => {
      const own = records.filter((record) => record.role === role);
      return [
        role,
        {
          records: own.length,
          reward: mean(own.flatMap((record) => (record.reward === undefined ? [] : [record.reward]))),
          legal: mean(own.map((record) => Number(record.legal))),
          length: mean(own.map((record) => record.length ?? 0)),
        },
      ];
    }),
  );
}

/** The roles' means of a training rollout, with how far the roles are confused. */
export function withConfusion(
  traces: readonly Trace[],
  workflow: Pick<Workflow, 'roles'>,
): Record<string, Record<string, number>> {
  const confusion = roleConfusion(roleRecords(traces.filter((trace) => trace.status === 'done')), workflow.roles);
  return Object.fromEntries(
    Object.entries(roleMetrics(traces)).map(([role, means]) => [role, { ...means, ...confusion[role] }]),
  );
}

/** Of the mean of at least two numbers. */
function standardError(numbers: readonly number[]): number {
  const middle = mean(numbers);
  const squares = numbers.reduce((sum, number) => sum + (number - middle) ** 2, 0);
  return Math.sqrt(squares / (numbers.length - 1) / numbers.length);
}

/** A dropped query counts as a wrong one: leaving it out would flatter. */
export function evaluationOf(traces: readonly Trace[], metric: Metric): Evaluation {
  const each = (name: string) => traces.map((trace) => (trace.status === 'done' ? (trace.score[name] ?? 0) : 0));
  const score = (name: string) => mean(each(name));
  const records = roleRecords(traces);
  return {
    f1: score('f1'),
    em: score('em'),
    score: score(metric),
    metric,
    ...(traces.length > 1 ? { stderr: standardError(each(metric)) } : {}),
    ...roundsOf(traces.filter((trace) => trace.status === 'done')),
    legal: mean(records.map((record) => Number(record.legal))),
    n: traces.length,
    roles: roleMetrics(traces),
  };
}
