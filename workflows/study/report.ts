/**
 * A study's results as a document: sections of sentences, tables and charts that the Markdown and the HTML page both show.
 * Words are plain and say no more than the intervals do.
 */
import type { StepMetrics } from '../schema/run.ts';
import type { Interval } from './bootstrap.ts';
import { RESAMPLES } from './bootstrap.ts';
import type { Chart, Point, Series } from './chart.ts';
import { scoreOf, type ArmResult, type CellResult, type Difference, type StudyResults } from './results.ts';
import type { Study } from './schema.ts';

export type Block =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'table'; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly kind: 'chart'; readonly chart: Chart };
export type Section = { readonly title: string; readonly blocks: readonly Block[] };
export type Document = { readonly title: string; readonly sections: readonly Section[] };

export function studyDocument(study: Study, results: StudyResults): Document {
  const text = (words: string): Block => ({ kind: 'text', text: words });
  const paragraphs = (words: string) =>
    words
      .split(/\n{2,}/u)
      .filter(Boolean)
      .map(text);
  const sections: Section[] = [
    ...(study.question === '' ? [] : [{ title: 'Question', blocks: paragraphs(study.question) }]),
    ...(study.conclusion === '' ? [] : [{ title: 'Conclusion', blocks: paragraphs(study.conclusion) }]),
    { title: 'Result', blocks: [text(resultNote(results)), armTable(results)] },
    ...(results.differences.length === 0 ? [] : [{ title: 'Differences', blocks: differenceBlocks(results) }]),
    { title: 'Curves', blocks: chartsOf(results).map((chart) => ({ kind: 'chart', chart }) as const) },
    { title: 'Cost', blocks: [text(costNote), costTable(results)] },
    { title: 'Every run', blocks: [runTable(results), ...missingBlocks(results)] },
    { title: 'How it was made', blocks: paragraphs(setting(study, results)) },
  ];
  return { title: study.title ?? study.name, sections };
}

const costNote =
  'Means a run. Tokens are the response tokens learned from; seconds are those of steps and evaluations; memory is the most the engine held at once.';

function resultNote({ metric, arms }: StudyResults): string {
  const seeds = Math.max(...arms.map(({ cells }) => cells.length));
  return `Held-out ${metricName(metric)}, mean over ${seeds === 1 ? 'one seed' : `${seeds} seeds`} ± standard deviation. The best is the best evaluation of each run, which is chosen by the held-out questions themselves and so flatters; the fall is from there to the last step.`;
}

function metricName(metric: string): string {
  return (
    (
      {
        f1: 'F1',
        em: 'exact match',
        number: 'share of right numbers',
        passed: 'share with all tests passed',
      } as Record<string, string>
    )[metric] ?? metric
  );
}

function armTable({ arms }: StudyResults): Block {
  const before = ({ metrics }: CellResult) => scoreOf(metrics[0]);
  return {
    kind: 'table',
    head: ['arm', 'seeds', 'before', 'after', 'best', 'fall', 'legal'],
    rows: arms.map(({ label, cells }) => [
      label,
      String(cells.length),
      spread(cells.map(before)),
      spread(cells.map(({ final }) => final)),
      spread(cells.map(({ peak }) => peak)),
      spread(cells.map(({ peak, final }) => peak - final)),
      spread(cells.map(({ legal }) => legal)),
    ]),
  };
}

function differenceBlocks({ differences }: StudyResults): Block[] {
  return [
    {
      kind: 'text',
      text: `Each pair differs in one thing alone and is compared question by question on the same seeds, with the same training questions in the same order. Intervals hold 95 % of ${RESAMPLES.toLocaleString('en-US')} paired bootstrap resamples of seeds and questions. With few seeds they rest on few trainings and are rather too narrow.`,
    },
    {
      kind: 'table',
      head: ['difference', 'seeds × questions', 'after', 'best', 'fall'],
      rows: differences.map((each) => [
        `${each.one} − ${each.other}`,
        `${each.seeds} × ${each.questions}`,
        shown(each.final),
        shown(each.peak),
        shown(each.gap),
      ]),
    },
    ...differences.map((each): Block => ({ kind: 'text', text: verdict(each) })),
  ];
}

/** One sentence about the final scores: what the interval allows to say. */
export function verdict({ one, other, final }: Difference): string {
  if (final.low > 0) return `${one} ended above ${other} by ${shown(final)}.`;
  if (final.high < 0)
    return `${one} ended below ${other} by ${shown({ mean: -final.mean, low: -final.high, high: -final.low })}.`;
  return `No difference between ${one} and ${other} is shown at the end: ${shown(final)} holds zero.`;
}

function shown({ mean, low, high }: Interval): string {
  return `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
}

function signed(number: number): string {
  const digits = Math.abs(number).toFixed(3);
  return Number(digits) === 0 ? digits : `${number < 0 ? '−' : '+'}${digits}`;
}

function chartsOf({ arms, metric }: StudyResults): Chart[] {
  const chart = (name: string, title: string, y: string, of: (line: StepMetrics) => number | undefined): Chart => ({
    name,
    title,
    x: 'step',
    y,
    series: arms.map((arm) => seriesOf(arm, of)),
  });
  const charts = [
    chart('score', 'Held-out score', metricName(metric), (line) => (line.eval ? scoreOf(line) : undefined)),
    chart('reward', 'Reward of sampled answers', 'mean reward', ({ rollout }) => rollout.reward),
    chart('legal', 'Legal outputs', 'share', ({ rollout }) => rollout.legal),
    chart('kl', 'Movement in a step', 'approx KL', ({ policies }) => meanOf(policies, 'losses/approx_kl')),
    chart('cosine', 'Cosine between the roles’ gradients on one policy', 'cosine', ({ policies }) =>
      meanCosine(policies),
    ),
  ];
  return charts
    .map((each) => ({ ...each, series: each.series.filter(({ mean }) => mean.length > 0) }))
    .filter(({ series }) => series.length > 0);
}

function seriesOf({ label, cells }: ArmResult, of: (line: StepMetrics) => number | undefined): Series {
  const runs = cells.map(({ metrics }) =>
    metrics.flatMap((line): Point[] => {
      const value = of(line);
      return value === undefined || !Number.isFinite(value) ? [] : [[line.step, value]];
    }),
  );
  const steps = [...new Set(runs.flat().map(([step]) => step))].sort((a, b) => a - b);
  const mean = steps.map((step): Point => {
    const values = runs.flat().flatMap(([at, value]) => (at === step ? [value] : []));
    return [step, average(values)];
  });
  return { label, mean, runs };
}

type Numbers = Readonly<Record<string, Readonly<Record<string, number>>>>;

function meanOf(parts: Numbers, name: string): number | undefined {
  const values = Object.values(parts).flatMap((part) => (part[name] === undefined ? [] : [part[name]]));
  return values.length === 0 ? undefined : average(values);
}

function meanCosine(parts: Numbers): number | undefined {
  const values = Object.values(parts).flatMap((part) =>
    Object.entries(part).flatMap(([name, value]) => (name.startsWith('gradient/cosine/') ? [value] : [])),
  );
  return values.length === 0 ? undefined : average(values);
}

function costTable({ arms }: StudyResults): Block {
  const mean = (cells: readonly CellResult[], of: (cell: CellResult) => number) => average(cells.map(of));
  return {
    kind: 'table',
    head: ['arm', 'tokens', 'seconds', 'peak memory'],
    rows: arms.map(({ label, cells }) => [
      label,
      Math.round(mean(cells, ({ tokens }) => tokens)).toLocaleString('en-US'),
      mean(cells, ({ seconds }) => seconds).toFixed(0),
      `${(mean(cells, ({ peakBytes }) => peakBytes) / 2 ** 20).toFixed(0)} MiB`,
    ]),
  };
}

function runTable({ arms }: StudyResults): Block {
  return {
    kind: 'table',
    head: ['run', 'seed', 'before', 'after', 'best (step)', 'legal', 'seconds'],
    rows: arms.flatMap(({ cells }) =>
      cells.map(({ id, seed, metrics, final, peak, peakStep, legal, seconds }) => [
        id,
        String(seed),
        scoreOf(metrics[0]).toFixed(3),
        final.toFixed(3),
        `${peak.toFixed(3)} (${peakStep})`,
        legal.toFixed(2),
        seconds.toFixed(0),
      ]),
    ),
  };
}

function missingBlocks({ missing }: StudyResults): Block[] {
  if (missing.length === 0) return [];
  const list = missing.map(({ id, why }) => `${id} (${why})`).join('; ');
  return [{ kind: 'text', text: `Not finished, and in no number above: ${list}.` }];
}

function setting(study: Study, { steps, queries, samples, device }: StudyResults): string {
  const set = Object.entries(study.set).map(([key, value]) => `${key}=${value}`);
  return [
    `Task ${study.task}, ${steps} steps of ${queries} questions${samples.some((n) => n > 1) ? `, ${samples.join(' or ')} answers each` : ''}; workflows ${study.workflows.join(', ')}; models ${study.models.join(', ')}; seeds ${study.seeds.join(', ')}. Device: ${device}.${set.length === 0 ? ' Settings of the update are the defaults.' : ` Settings changed for every arm: ${set.join(', ')}.`}`,
    'Every run is in the workspace under its name with all its traces, and the study file makes them again: troupe study FILE.',
  ].join('\n\n');
}

function average(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}

/** Mean ± standard deviation (n - 1); the mean alone for one number. */
function spread(numbers: readonly number[]): string {
  const mean = average(numbers);
  if (numbers.length < 2) return mean.toFixed(3);
  const variance = numbers.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (numbers.length - 1);
  return `${mean.toFixed(3)} ± ${Math.sqrt(variance).toFixed(3)}`;
}
