/**
 * A run's metrics as charts: which lines there are, in what order, colour and dash, and a sentence that says what a chart
 * shows. Steps are the x axis; a step without a value is null and leaves a gap that is drawn over.
 */
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { metric, score } from '../kit/format.ts';
import { roleToken } from '../kit/role-colour.ts';
import { words } from '../words.ts';

export type Line = {
  readonly label: string;
  /** Colour token without the dashes. */
  readonly tone: string;
  /** Lines differ by dash as well as by colour. */
  readonly dash: readonly number[];
  readonly values: readonly (number | null)[];
};

export type ChartSpec = {
  readonly id: string;
  readonly title: string;
  readonly steps: readonly number[];
  readonly lines: readonly Line[];
  /** Fixed ends of the y axis; null lets the data decide. */
  readonly range: readonly [number | null, number | null];
  readonly write: (value: number | null | undefined) => string;
};

const dashes: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [1, 2], [12, 4]];
const phaseTones = ['role-7', 'role-6', 'role-3', 'role-4', 'role-2', 'role-1', 'role-5'];

export function dashOf(at: number): readonly number[] {
  return dashes[at % dashes.length];
}

function namesIn(metrics: readonly StepMetrics[], part: 'roles' | 'policies'): string[] {
  return [...new Set(metrics.flatMap((step) => Object.keys(step[part])))];
}

function ordered(names: readonly string[], first: readonly string[]): string[] {
  return [...first.filter((name) => names.includes(name)), ...names.filter((name) => !first.includes(name)).sort()];
}

type Reader = (step: StepMetrics) => number | undefined;

function line(label: string, tone: string, at: number, metrics: readonly StepMetrics[], read: Reader): Line {
  return {
    label,
    tone,
    dash: dashOf(at),
    values: metrics.map((step) => {
      const value = read(step);
      return value === undefined || !Number.isFinite(value) ? null : value;
    }),
  };
}

function hasValues(one: Line): boolean {
  return one.values.some((value) => value !== null);
}

/** Milliseconds by phase; the whole step is left out. */
function phasesOf(metrics: readonly StepMetrics[]): string[] {
  const keys = new Set(metrics.flatMap((step) => Object.keys(step.timing)));
  return [...keys].filter((key) => key.endsWith('Ms') && key !== 'stepMs');
}

/** "oldLogprobsMs" → "old logprobs". */
function phaseLabel(key: string): string {
  return key
    .replace(/Ms$/, '')
    .replace(/([a-z])([A-Z])/g, '$1 $2')
    .toLowerCase();
}

/** All charts of one run. `roles` in the workflow's order gives each role its colour everywhere. */
export function chartsOf(metrics: readonly StepMetrics[], roles: readonly string[]): ChartSpec[] {
  const steps = metrics.map((step) => step.step);
  const roleNames = ordered(namesIn(metrics, 'roles'), roles);
  const policies = namesIn(metrics, 'policies');
  const byRole = (key: string): Line[] =>
    roleNames.map((role, at) => line(role, roleToken(roles, role), at, metrics, (step) => step.roles[role]?.[key]));
  const byPolicy = (key: string): Line[] =>
    policies.map((policy, at) =>
      line(policy, policyTone(policy, at, roles), at, metrics, (step) => step.policies[policy]?.[key]),
    );
  const make = (
    id: string,
    title: string,
    lines: Line[],
    range: ChartSpec['range'],
    write: ChartSpec['write'] = metric,
  ): ChartSpec => ({
    id,
    title,
    steps,
    lines: lines.filter(hasValues),
    range,
    write,
  });
  const chart = words.chart;
  const tuned = metrics.some((step) => Object.values(step.policies).some((policy) => 'losses/sft' in policy));
  return [
    make(
      'f1',
      chart.f1,
      [
        line(chart.f1Line, 'accent', 0, metrics, (step) => step.eval?.f1),
        line(chart.emLine, 'zero', 1, metrics, (step) => step.eval?.em),
      ],
      [0, 1],
      (value) => score(value),
    ),
    make('reward', chart.reward, byRole('reward'), [null, null], (value) => score(value)),
    make('legal', chart.legal, byRole('legal'), [0, 1], (value) => score(value)),
    ...(tuned
      ? [make('sft', chart.sft, byRole('losses/sft'), [0, null])]
      : [
          make('kl', chart.kl, byPolicy('losses/approx_kl'), [null, null]),
          make('clip', chart.clip, byPolicy('losses/clipfrac'), [0, null]),
          make('entropy', chart.entropy, byPolicy('losses/entropy'), [0, null]),
        ]),
    make(
      'rate',
      chart.rate,
      [line(chart.rate.toLowerCase(), 'role-3', 0, metrics, (step) => step.timing.tokensPerSecond)],
      [0, null],
    ),
    make(
      'time',
      chart.time,
      phasesOf(metrics).map((key, at) =>
        line(phaseLabel(key), phaseTones[at % phaseTones.length], at, metrics, (step) =>
          step.timing[key] === undefined ? undefined : step.timing[key] / 1_000,
        ),
      ),
      [0, null],
    ),
  ];
}

/** A policy that plays one role alone carries the role's name, and then its colour. */
function policyTone(policy: string, at: number, roles: readonly string[]): string {
  return roles.includes(policy) ? roleToken(roles, policy) : ['accent', 'role-4', 'role-3', 'role-2'][at % 4];
}

/** Another run's held-out F1, put on this chart's steps; steps only the other has are added by `withLines`. */
export type Foreign = { readonly label: string; readonly metrics: readonly StepMetrics[] };

/** Adds other runs' held-out lines to a chart, over the union of all steps. */
export function withForeign(spec: ChartSpec, foreign: readonly Foreign[]): ChartSpec {
  if (foreign.length === 0) return spec;
  const tested = foreign.map(({ label, metrics }) => ({
    label,
    points: new Map(metrics.flatMap((step) => (step.eval ? [[step.step, step.eval.f1] as const] : []))),
  }));
  const steps = [...new Set([...spec.steps, ...tested.flatMap(({ points }) => [...points.keys()])])].sort(
    (a, b) => a - b,
  );
  const place = new Map(spec.steps.map((step, at) => [step, at]));
  const own = spec.lines.map((one) => ({
    ...one,
    values: steps.map((step) => one.values[place.get(step) ?? -1] ?? null),
  }));
  const others = tested.map(({ label, points }, at) => ({
    label,
    tone: ['role-4', 'role-3', 'role-2', 'role-6'][at % 4],
    dash: dashOf(at + 2),
    values: steps.map((step) => points.get(step) ?? null),
  }));
  return { ...spec, steps, lines: [...own, ...others] };
}

type Seen = { step: number; value: number };

function seen(spec: ChartSpec, one: Line): Seen[] {
  return one.values.flatMap((value, at) => (value === null ? [] : [{ step: spec.steps[at], value }]));
}

/** What a chart shows, in words: where each line began, where it is, and its highest value. */
export function summary(spec: ChartSpec): string {
  const sentences = spec.lines.map((one) => {
    const points = seen(spec, one);
    const [first, last] = [points[0], points.at(-1)];
    if (!first || !last) return '';
    if (points.length === 1) return words.chart.single(one.label, spec.write(first.value), first.step);
    const best = Math.max(...points.map((point) => point.value));
    return words.chart.summary(
      one.label,
      spec.write(first.value),
      first.step,
      spec.write(last.value),
      last.step,
      spec.write(best),
    );
  });
  return sentences.filter(Boolean).join(' ') || words.chart.empty;
}

/** All lines at one step: "decomposer 0.42, answerer 0.40". */
export function valuesAt(spec: ChartSpec, at: number): string {
  return spec.lines
    .map((one) => `${one.label} ${one.values[at] === null ? words.chart.none : spec.write(one.values[at])}`)
    .join(', ');
}

/** Rows of the accessible table: only steps at which some line has a value. */
export function rows(spec: ChartSpec): { step: number; cells: string[] }[] {
  return spec.steps.flatMap((step, at) =>
    spec.lines.some((one) => one.values[at] !== null)
      ? [{ step, cells: spec.lines.map((one) => spec.write(one.values[at])) }]
      : [],
  );
}

/** The next place in a direction at which the chart has a value; where it is when there is none. */
export function nextPlace(spec: ChartSpec, from: number, by: 1 | -1): number {
  for (let at = from + by; at >= 0 && at < spec.steps.length; at += by)
    if (spec.lines.some((one) => one.values[at] !== null)) return at;
  return from;
}
