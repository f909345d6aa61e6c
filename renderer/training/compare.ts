/**
 * Several runs side by side: what they were set to differently, their curves in common charts, and how far their last
 * held-out results differ, question by question. Pure functions over what the controller says of runs.
 */
import type { RunDetail, RunSummary, TraceSummary } from '../../workflows/protocol.ts';
import type { StepMetrics } from '../../workflows/schema/run.ts';
import { pairedBootstrap, type Interval } from '../../workflows/study/bootstrap.ts';
import { metric, score, valueText } from '../kit/format.ts';
import { words } from '../words.ts';
import { placedOn, type XAxis } from './axes.ts';
import { scoreLine, line, type ChartSpec, type Line } from './series.ts';

/** Colours and dashes together tell 56 lines apart; a person far fewer. */
export const COMPARED_MAX = 20;
const tones = ['accent', 'role-2', 'role-3', 'role-4', 'role-6', 'role-1', 'role-7', 'role-5'];

export type Compared = { readonly id: string; readonly label: string; readonly detail: RunDetail };

/** Titles that are told apart: a title that several runs have gets the end of the run's id behind it. */
export function labels(runs: readonly Pick<RunSummary, 'id' | 'title'>[]): Map<string, string> {
  const often = (title: string) => runs.filter((run) => run.title === title).length > 1;
  return new Map(runs.map(({ id, title }) => [id, often(title) ? `${title} (${id.slice(-15)})` : title]));
}

/** What tells compared runs apart in a legend: the parts between commas that all names begin with are left out. */
export function shortened(names: readonly string[]): string[] {
  const parts = names.map((name) => name.split(', '));
  const least = Math.min(...parts.map(({ length }) => length)) - 1;
  let common = 0;
  while (common < least && parts.every((one) => one[common] === parts[0][common])) common++;
  return parts.map((one) => one.slice(common).join(', '));
}

/** The run that holds the traces of a step: a branch has its own only from where it began. */
export function runOfStep(runs: readonly Pick<RunSummary, 'id' | 'from'>[], run: string, step: number): string {
  const seen = new Set<string>();
  for (let id = run; !seen.has(id);) {
    seen.add(id);
    const from = runs.find((one) => one.id === id)?.from;
    if (from === undefined || step > from.step) return id;
    id = from.run;
  }
  return run;
}

// ---- configuration -------------------------------------------------------------------------------------------

export type Difference = { readonly key: string; readonly values: readonly string[]; readonly differs: boolean };

/** What names a run, or follows from when and where it ran, is no difference between what was set. */
const identity = /^(troupe|version|id|created|title|note|from\.weights|software)(\.|$)/;

/** Every setting as "settings.ppo.lr", one value a run; those that differ first, in the order of the file. */
export function differences(configs: readonly unknown[]): Difference[] {
  const flat = configs.map((config) => flattened(config));
  const keys = [...new Set(flat.flatMap((one) => [...one.keys()]))].filter((key) => !identity.test(key));
  const all = keys.map((key): Difference => {
    const values = flat.map((one) => one.get(key) ?? words.runs.unset);
    return { key, values, differs: new Set(values).size > 1 };
  });
  return [...all.filter(({ differs }) => differs), ...all.filter(({ differs }) => !differs)];
}

/** Lists are one value: what is in them has no name of its own to compare by, except nodes, roles and rules by their id. */
function flattened(value: unknown, prefix = '', into = new Map<string, string>()): Map<string, string> {
  const named = namedItems(value);
  if (named === null) {
    if (prefix !== '') into.set(prefix, Array.isArray(value) ? JSON.stringify(value) : valueText(value));
    return into;
  }
  for (const [key, one] of named) if (one !== undefined) flattened(one, prefix === '' ? key : `${prefix}.${key}`, into);
  return into;
}

function namedItems(value: unknown): [string, unknown][] | null {
  if (typeof value !== 'object' || value === null) return null;
  if (!Array.isArray(value)) return Object.entries(value);
  const ids = value.map((one: unknown) =>
    typeof one === 'object' && one !== null && 'id' in one ? String(one.id) : null,
  );
  return ids.length > 0 && ids.every((id) => id !== null) ? ids.map((id, at) => [id, value[at]]) : null;
}

// ---- curves --------------------------------------------------------------------------------------------------

type Reader = (step: StepMetrics) => number | undefined;
type Drawing = { id: string; title: string; read: Reader; range: ChartSpec['range']; write?: ChartSpec['write'] };

/** One chart a measure, one line a run, over all places that any of them has on the axis. */
export function comparisonCharts(runs: readonly Compared[], axis: XAxis = 'step'): ChartSpec[] {
  const chart = words.chart;
  const plain = (value: number | null | undefined) => score(value);
  const union = unionOf(runs, axis);
  const held: ChartSpec = {
    ...overUnion(union, runs, ({ label }, at, metrics) => scoreLine(label, tones[at % tones.length], at, metrics)),
    id: 'f1',
    title: chart.f1,
    range: [0, 1],
    write: plain,
  };
  const drawings: Drawing[] = [
    { id: 'reward', title: words.runs.reward, read: (step) => step.rollout.reward, range: [null, null], write: plain },
    { id: 'legal', title: words.runs.legal, read: (step) => step.rollout.legal, range: [0, 1], write: plain },
    ...rolesOf(runs).map((role) => ({ id: `reward-${role}`, title: words.runs.rewardOf(role), read: (step: StepMetrics) => step.roles[role]?.reward, range: [null, null] as const, write: plain })), // prettier-ignore
    { id: 'kl', title: chart.kl, read: meanOf('losses/approx_kl'), range: [null, null] },
    { id: 'entropy', title: chart.entropy, read: meanOf('losses/entropy'), range: [0, null] },
    { id: 'sft', title: words.runs.sft, read: meanOf('losses/sft'), range: [0, null] },
    { id: 'gradient', title: chart.gradient, read: meanOf('grad_norm'), range: [0, null] },
    { id: 'time', title: words.runs.time, read: ({ timing }) => (timing.stepMs === undefined ? undefined : timing.stepMs / 1_000), range: [0, null] }, // prettier-ignore
  ];
  const others = drawings.map(({ read, write = metric, ...rest }): ChartSpec => ({
    ...overUnion(union, runs, ({ label }, at, metrics) => line(label, tones[at % tones.length], at, metrics, read)),
    ...rest,
    write,
  }));
  return [held, ...others.filter(({ lines }) => lines.length > 0)];
}

/** Roles that every run has and more than one, in the first run's order. */
function rolesOf(runs: readonly Compared[]): string[] {
  const [first, ...rest] = runs.map(({ detail }) => Object.keys(detail.config.workflow.roles));
  const common = (first ?? []).filter((role) => rest.every((roles) => roles.includes(role)));
  return common.length > 1 ? common : [];
}

function meanOf(key: string): Reader {
  return ({ policies }) => {
    const values = Object.values(policies).flatMap((one) => (one[key] === undefined ? [] : [one[key]]));
    return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
  };
}

type Values = readonly (number | null)[];
/** All places of the runs, what each run measured, and how that stands among them; the same for every chart. */
type Union = Pick<ChartSpec, 'axis' | 'x' | 'steps'> & {
  readonly runs: readonly { readonly metrics: readonly StepMetrics[]; spread(values: Values): Values }[];
};

function unionOf(compared: readonly Compared[], axis: XAxis): Union {
  const placed = compared.map(({ detail }) => placedOn(axis, detail.metrics));
  const points = placed.flatMap(({ metrics, x }, run) => metrics.map(({ step }, at) => ({ x: x[at], step, run, at })));
  points.sort((a, b) => a.x - b.x || a.step - b.step);
  const x: number[] = [];
  const steps: number[] = [];
  const places = placed.map((): number[] => []);
  for (const point of points) {
    if (x.at(-1) !== point.x || steps.at(-1) !== point.step) {
      x.push(point.x);
      steps.push(point.step);
    }
    places[point.run][point.at] = x.length - 1;
  }
  const runs = placed.map(({ metrics }, run) => ({
    metrics,
    spread: (values: Values): Values => {
      if (places[run].length === x.length) return values;
      const out: (number | null)[] = Array.from({ length: x.length }, () => null);
      values.forEach((value, at) => (out[places[run][at]] = value));
      return out;
    },
  }));
  return { axis, x, steps, runs };
}

function overUnion(
  { axis, x, steps, runs }: Union,
  compared: readonly Compared[],
  lineOf: (run: Compared, at: number, metrics: readonly StepMetrics[]) => Line,
): Pick<ChartSpec, 'axis' | 'x' | 'steps' | 'lines'> {
  const lines = compared.map((run, at): Line => {
    const { metrics, spread } = runs[at];
    const own = lineOf(run, at, metrics);
    const band = own.band && { low: spread(own.band.low), high: spread(own.band.high) };
    return { ...own, values: spread(own.values), run: run.id, ...(band ? { band } : {}) };
  });
  return { axis, x, steps, lines: lines.filter(({ values }) => values.some((value) => value !== null)) };
}

// ---- paired test ---------------------------------------------------------------------------------------------

/** The step of the last held-out test. */
export function lastTest(metrics: readonly StepMetrics[]): number | null {
  return metrics.findLast((step) => step.eval)?.step ?? null;
}

export type Answered = Pick<TraceSummary, 'query' | 'status' | 'score'>;
export type Paired = Interval & { readonly n: number };

/**
 * Mean difference of the held-out score, `b` less `a`, over the questions both answered, with its 95 % interval by the
 * paired bootstrap; null where they share none. A dropped question counts as a wrong one.
 */
export function pairedDifference(a: readonly Answered[], b: readonly Answered[]): Paired | null {
  const scores = (rows: readonly Answered[]) =>
    new Map(rows.map(({ query, status, score }) => [query, status === 'done' ? score : 0]));
  const [first, second] = [scores(a), scores(b)];
  const differences = [...first].flatMap(([query, score]) => {
    const other = second.get(query);
    return other === undefined ? [] : [other - score];
  });
  return differences.length === 0 ? null : { ...pairedBootstrap([differences]), n: differences.length };
}

/** "+0.05 [−0.01, +0.11] on 100 questions: no clear difference". */
export function pairedText({ mean, low, high, n }: Paired): string {
  return words.runs.paired(mean, low, high, n, low > 0 || high < 0);
}
