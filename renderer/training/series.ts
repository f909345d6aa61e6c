/**
 * A run's metrics as charts: which lines there are, in what order, colour and dash, and a sentence that says what a chart
 * shows. Every measured step has a place along the x axis; where a line has no value there it is null, and drawn over.
 */
import type { Evaluation, StepMetrics } from '../../workflows/schema/run.ts';
import { metric, score } from '../kit/format.ts';
import { roleToken } from '../kit/role-colour.ts';
import { words } from '../words.ts';
import { placedOn, placeText, type XAxis } from './axes.ts';
import { smooth } from './smooth.ts';

export type Line = {
  readonly label: string;
  /** Colour token without the dashes. */
  readonly tone: string;
  /** Lines differ by dash as well as by colour. */
  readonly dash: readonly number[];
  readonly values: readonly (number | null)[];
  /** As measured, where `values` are smoothed. */
  readonly raw?: readonly (number | null)[];
  /** A 95 % interval around each value. */
  readonly band?: { readonly low: readonly (number | null)[]; readonly high: readonly (number | null)[] };
  /** The run whose line it is, where a chart shows several. */
  readonly run?: string;
};

export type ChartSpec = {
  readonly id: string;
  readonly title: string;
  readonly axis: XAxis;
  /** Where each place stands on the axis, rising, and the step that was measured there. */
  readonly x: readonly number[];
  readonly steps: readonly number[];
  readonly lines: readonly Line[];
  /** Fixed ends of the y axis; null lets the data decide. */
  readonly range: readonly [number | null, number | null];
  readonly write: (value: number | null | undefined) => string;
};

const dashes: readonly (readonly number[])[] = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [1, 2], [12, 4]];
const phaseTones = ['role-7', 'role-6', 'role-3', 'role-4', 'role-2', 'role-1', 'role-5'];

function dashOf(at: number): readonly number[] {
  return dashes[at % dashes.length];
}

function namesIn(metrics: readonly StepMetrics[], part: 'roles' | 'policies'): string[] {
  return [...new Set(metrics.flatMap((step) => Object.keys(step[part])))];
}

function ordered(names: readonly string[], first: readonly string[]): string[] {
  return [...first.filter((name) => names.includes(name)), ...names.filter((name) => !first.includes(name)).sort()];
}

type Reader = (step: StepMetrics) => number | undefined;

export function line(label: string, tone: string, at: number, metrics: readonly StepMetrics[], read: Reader): Line {
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

/** Only the charts that have something to show: what a run does not measure takes no room. */
function made(specs: readonly ChartSpec[]): ChartSpec[] {
  return specs.filter(({ lines }) => lines.length > 0);
}

function roundsOf(step: StepMetrics): number | undefined {
  return step.eval?.rounds ?? step.rollout.rounds;
}

/** All charts of one run. `roles` in the workflow's order gives each role its colour everywhere. */
export function chartsOf(
  measured: readonly StepMetrics[],
  roles: readonly string[],
  axis: XAxis = 'step',
): ChartSpec[] {
  const { metrics, x } = placedOn(axis, measured);
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
    axis,
    x,
    steps,
    lines: lines.filter(hasValues),
    range,
    write,
  });
  const chart = words.chart;
  const tuned = metrics.some((step) => Object.values(step.policies).some((policy) => 'losses/sft' in policy));
  return [
    make('f1', chart.f1, heldOut(metrics), [0, 1], (value) => score(value)),
    make('reward', chart.reward, byRole('reward'), [null, null], (value) => score(value)),
    make('legal', chart.legal, byRole('legal'), [0, 1], (value) => score(value)),
    ...made([
      make('rounds', chart.rounds, [line(chart.rounds.toLowerCase(), 'role-4', 0, metrics, roundsOf)], [0, null]),
    ]),
    ...(tuned
      ? [make('sft', chart.sft, byRole('losses/sft'), [0, null])]
      : [
          make('kl', chart.kl, byPolicy('losses/approx_kl'), [null, null]),
          make('clip', chart.clip, byPolicy('losses/clipfrac'), [0, null]),
          make('entropy', chart.entropy, byPolicy('losses/entropy'), [0, null]),
          ...made([make('explained', chart.explained, byPolicy('losses/explained_variance'), [null, 1])]),
        ]),
    ...made([
      make('gradient', chart.gradient, byPolicy('grad_norm'), [0, null]),
      make('gradientRole', chart.gradientRole, byRole('gradient/norm'), [0, null]),
      make('cosine', chart.cosine, keyed(metrics, 'policies', 'gradient/cosine/', pairLabel), [-1, 1], (value) =>
        score(value),
      ),
      make('copies', chart.copies, byRole('gradient/copies'), [-1, 1], (value) => score(value)),
      make('tokensRole', chart.tokensRole, byRole('tokens/share'), [0, 1], (value) => score(value)),
      make('confusion', chart.confusion, told(keyed(metrics, 'roles', 'confusion/', chart.confused)), [0, 1], (value) =>
        score(value),
      ),
      make('length', chart.length, byRole('length'), [0, null]),
      ...(metrics.some((step) => (step.rollout.dropped ?? 0) > 0)
        ? [
            make(
              'dropped',
              chart.dropped,
              [line(chart.droppedLine, 'error', 0, metrics, (step) => step.rollout.dropped)],
              [0, null],
            ),
          ]
        : []),
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

/** One line for every measure of a role or policy whose name begins so: between two roles, of one as another. */
function keyed(
  metrics: readonly StepMetrics[],
  part: 'roles' | 'policies',
  prefix: string,
  label: (owner: string, rest: string) => string,
): Line[] {
  const found = new Map<string, readonly [string, string]>();
  for (const step of metrics)
    for (const [owner, measures] of Object.entries(step[part]))
      for (const key of Object.keys(measures)) if (key.startsWith(prefix)) found.set(`${owner} ${key}`, [owner, key]);
  return [...found.values()].map(([owner, key], at) =>
    line(
      label(owner, key.slice(prefix.length)),
      phaseTones[at % phaseTones.length],
      at,
      metrics,
      (step) => step[part][owner]?.[key],
    ),
  );
}

/** Of five roles twenty pairs: those that are ever confused, or all where none is. */
function told(lines: Line[]): Line[] {
  const some = lines.filter(({ values }) => values.some((value) => value !== null && value > 0));
  return some.length === 0 ? lines : some;
}

/** Roles belong to one policy each, so a pair says which. */
function pairLabel(_policy: string, pair: string): string {
  return words.chart.pair(...(pair.split('~') as [string, string]));
}

/** What the task is scored by, with its interval; F1 and exact match together where it is one of them. */
function heldOut(metrics: readonly StepMetrics[]): Line[] {
  const chart = words.chart;
  const by = metrics.find((step) => step.eval)?.eval?.metric ?? 'f1';
  if (by !== 'f1' && by !== 'em') return [scoreLine(chart.metrics[by] ?? by, 'accent', 0, metrics)];
  const f1 = line(chart.f1Line, 'accent', 0, metrics, (step) => step.eval?.f1);
  const em = line(chart.emLine, 'zero', 1, metrics, (step) => step.eval?.em);
  return by === 'f1' ? [{ ...f1, ...bandOf(metrics) }, em] : [f1, { ...em, ...bandOf(metrics) }];
}

/** The held-out score by the task's own measure, with its interval. */
export function scoreLine(label: string, tone: string, at: number, metrics: readonly StepMetrics[]): Line {
  return { ...line(label, tone, at, metrics, (step) => scoreOf(step.eval)), ...bandOf(metrics) };
}

/** Runs from before tasks had measures of their own have F1 alone. */
export function scoreOf(held: Evaluation | null | undefined): number | undefined {
  return held?.score ?? held?.f1;
}

/** The mean's normal interval, within what a score can be. */
function bandOf(metrics: readonly StepMetrics[]): Pick<Line, 'band'> {
  const edge = (sign: 1 | -1) =>
    metrics.map(({ eval: held }) =>
      held?.stderr === undefined ? null : Math.min(1, Math.max(0, scoreOf(held)! + sign * 1.96 * held.stderr)),
    );
  const band = { low: edge(-1), high: edge(1) };
  return band.low.every((value) => value === null) ? {} : { band };
}

/** Every line smoothed, with what was measured beside it. Held-out scores are few and stay as they are. */
export function smoothed(spec: ChartSpec, reach: number): ChartSpec {
  if (reach === 0 || spec.lines.some(({ band }) => band) || spec.id === 'f1') return spec;
  const lines = spec.lines.map((one) => ({
    ...one,
    values: smoothedLine(spec.steps, one.values, reach),
    raw: one.values,
  }));
  return { ...spec, lines };
}

/** By its own steps: along a time axis those of other runs stand between them. */
function smoothedLine(steps: ChartSpec['steps'], values: Line['values'], reach: number): Line['values'] {
  const own = values.flatMap((value, at) => (value === null ? [] : [at]));
  const smoother = smooth(own.map((at) => steps[at]), own.map((at) => values[at]), reach); // prettier-ignore
  const out: (number | null)[] = values.map(() => null);
  own.forEach((at, index) => (out[at] = smoother[index]));
  return out;
}

/** What a line is left out by: all lines of a run, or of a role, go together. */
export function lineName({ run, label }: Line): string {
  return run ?? label;
}

/** Everything as measured, in full, a row a place. A comma, a quote or a formula's sign in a label does no harm. */
export function asCsv({ axis, x, steps, lines }: ChartSpec): string {
  const place = {
    step: (at: number) => [steps[at]],
    time: (at: number) => [x[at] / 1_000, steps[at]],
    clock: (at: number) => [new Date(x[at]).toISOString(), steps[at]],
  }[axis];
  const cell = (text: string): string => `"${/^[=+@-]/.test(text) ? "'" : ''}${text.replaceAll('"', '""')}"`;
  const head = [
    ...{ step: [], time: ['seconds'], clock: ['time'] }[axis],
    'step',
    ...lines.map(({ label }) => cell(label)),
  ];
  const body = steps.flatMap((_, at) => {
    const values = lines.map(({ raw, values }) => (raw ?? values)[at]);
    return values.every((value) => value === null || value === undefined)
      ? []
      : [[...place(at), ...values.map((value) => value ?? '')]];
  });
  return [head, ...body].map((row) => `${row.join(',')}\n`).join('');
}

/** What is drawn, in order: faint measured values below, intervals, the lines on top. */
export type Drawn = {
  readonly line: number;
  readonly part: 'raw' | 'low' | 'high' | 'line';
  readonly values: readonly (number | null)[];
};

export function drawn(spec: ChartSpec): Drawn[] {
  const raw = spec.lines.flatMap(({ raw }, line) => (raw ? [{ line, part: 'raw' as const, values: raw }] : []));
  const bands = spec.lines.flatMap(({ band }, line) =>
    band
      ? [
          { line, part: 'low' as const, values: band.low },
          { line, part: 'high' as const, values: band.high },
        ]
      : [],
  );
  return [...raw, ...bands, ...spec.lines.map(({ values }, line) => ({ line, part: 'line' as const, values }))];
}

/** A policy that plays one role alone carries the role's name, and then its colour. */
function policyTone(policy: string, at: number, roles: readonly string[]): string {
  return roles.includes(policy) ? roleToken(roles, policy) : ['accent', 'role-4', 'role-3', 'role-2'][at % 4];
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

/** "0.42", "0.42 ± 0.03", or "0.42, smoothed 0.40". */
function valueAt(spec: ChartSpec, one: Line, where: number): string {
  const { write } = spec;
  const at = readAt(spec, one, where);
  const value = one.values[at];
  if (value === null || value === undefined) return write(null);
  if (one.raw) return words.chart.smoothed(write(one.raw[at]), write(value));
  const high = one.band?.high[at];
  return high === null || high === undefined ? write(value) : `${write(value)} ± ${write(Math.max(high - value, value - one.band!.low[at]!))}`; // prettier-ignore
}

/** The same for a legend, where room is short: "0.42 (0.40)" with what is smoothed behind what was measured. */
export function legendValue(spec: ChartSpec, one: Line, where: number): string {
  const at = readAt(spec, one, where);
  const value = one.values[at];
  if (value === null || value === undefined || one.raw === undefined) return valueAt(spec, one, at);
  return `${spec.write(one.raw[at])} (${spec.write(value)})`;
}

/** All lines at one step: "decomposer 0.42, answerer 0.40". */
export function valuesAt(spec: ChartSpec, at: number): string {
  return spec.lines
    .map(
      (one) => `${one.label} ${one.values[readAt(spec, one, at)] === null ? words.chart.none : valueAt(spec, one, at)}`,
    )
    .join(', ');
}

/** Rows of the accessible table, as measured: only places at which some line has a value. */
export function rows(spec: ChartSpec): { at: number; step: number; place: string; cells: string[] }[] {
  return spec.steps.flatMap((step, at) =>
    spec.lines.some((one) => one.values[at] !== null)
      ? [
          {
            ...{ at, step, place: placeText(spec.axis, spec.x[at]) },
            cells: spec.lines.map((one) => spec.write((one.raw ?? one.values)[at])),
          },
        ]
      : [],
  );
}

/**
 * The place at which a line is read where the cursor is: there; or, where runs stand along a time axis and each has places of
 * its own, at the run's last one so far.
 */
export function readAt({ axis }: ChartSpec, one: Line, at: number): number {
  if (axis === 'step' || one.run === undefined) return at;
  for (let place = at; place >= 0; place--) if (one.values[place] !== null) return place;
  return at;
}

/** Where a chart is looked at: "step 12", "3 min 20 s, step 12"; of several runs along a time axis the time alone. */
export function whereAt({ axis, x, steps, lines }: ChartSpec, at: number): string {
  const step = words.chart.atStep(steps[at]);
  if (axis === 'step') return step;
  const time = placeText(axis, x[at]);
  return lines.some(({ run }) => run !== undefined) ? time : `${time}, ${step}`;
}

/** How many measured values are 0 or less, which a log scale has no place for, and how many there are. */
export function belowLog({ lines }: ChartSpec): { left: number; all: number } {
  const values = lines.flatMap((one) => (one.raw ?? one.values).filter((value) => value !== null));
  return { left: values.filter((value) => value <= 0).length, all: values.length };
}

/** The next place in a direction at which the chart has a value; where it is when there is none. */
export function nextPlace(spec: ChartSpec, from: number, by: 1 | -1): number {
  for (let at = from + by; at >= 0 && at < spec.steps.length; at += by)
    if (spec.lines.some((one) => one.values[at] !== null)) return at;
  return from;
}
