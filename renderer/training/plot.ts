/** What uPlot is told to draw: the axes, scales, lines and intervals of one chart, in the colours of the theme. */
import uPlot from 'uplot';
import { colour } from '../app/theme.ts';
import { edgeOnLogScale, onLogScale, type XAxis } from './axes.ts';
import { drawn, type ChartSpec, type Drawn } from './series.ts';

export type Plotted = {
  readonly spec: ChartSpec;
  readonly log: boolean;
  /** How much of the x axis is shown. */
  readonly range: () => readonly [from: number, to: number];
};

/** The x values, then every layer as `drawn` orders them; undefined is passed over, null breaks a line. */
export function plotData({ spec, log }: Plotted): uPlot.AlignedData {
  const values = (layer: Drawn) =>
    !log ? layer.values : layer.part === 'low' ? edgeOnLogScale(layer.values) : onLogScale(layer.values);
  return [spec.x, ...drawn(spec).map(values)] as unknown as uPlot.AlignedData;
}

/** What a plot must be made anew for; other changes are new data. */
export function plotShape({ spec, log }: Plotted): string {
  const layers = drawn(spec).map(({ line, part }) => `${part} ${spec.lines[line].label}`);
  return [spec.axis, String(log), ...layers].join('\n');
}

export function plotOptions(
  plotted: Plotted,
  size: { readonly width: number; readonly height: number },
  hooks: uPlot.Hooks.Arrays,
): uPlot.Options {
  const { spec, log, range } = plotted;
  const layers = drawn(spec);
  const clock = spec.axis === 'clock';
  return {
    ...size,
    // Milliseconds, not seconds.
    ms: 1,
    legend: { show: false },
    padding: [8, 10, 0, 0],
    cursor: {
      // Only where the cursor is concerns the other charts; what is dragged over becomes the view of all.
      sync: {
        key: 'run-charts',
        filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave', sub: () => true },
      },
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false, dist: 8 },
      y: false,
    },
    scales: {
      x: { time: clock, range: () => [...range()] },
      y: log
        ? { distr: 3, log: 10, range: (_, low, high) => logRange(low, high) }
        : { range: (_, low, high) => plainRange(spec.range, low, high) },
    },
    axes: [
      { ...axisLook(), size: 24, gap: 4, grid: { show: false }, ...xAxis(spec.axis) },
      {
        ...{ ...axisLook(), size: 44, gap: 5, space: log ? 16 : 28 },
        ...(log ? { grid: { stroke: colour('border'), width: 1, filter: logGrid } } : {}),
        values: (_, splits: (number | null)[]) => splits.map((value) => (value === null ? '' : axisText(value))),
      },
    ],
    series: [{}, ...layers.map((layer) => seriesOf(spec, layer, log))],
    bands: layers.flatMap(({ part, line }, index) =>
      part === 'low'
        ? [{ series: [index + 2, index + 1] as [number, number], fill: faint(colour(spec.lines[line].tone), 16) }]
        : [],
    ),
    hooks,
  };
}

function axisLook(): uPlot.Axis {
  return {
    stroke: colour('faint'),
    font: `${axisSize()}px ${colour('font-ui')}`,
    ticks: { show: false },
    grid: { stroke: colour('border'), width: 1 },
  };
}

/** A canvas knows no rem. */
function axisSize(): number {
  return parseFloat(colour('text-xs')) * parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** The colour with a share of it left, in percent. */
function faint(tone: string, percent: number): string {
  return `color-mix(in srgb, ${tone} ${percent}%, transparent)`;
}

function seriesOf(spec: ChartSpec, { line, part }: Drawn, log: boolean): uPlot.Series {
  const { label, tone, dash, values } = spec.lines[line];
  const spanGaps = !log;
  if (part !== 'line') {
    const raw = part === 'raw';
    const look = { stroke: raw ? faint(colour(tone), 32) : undefined, width: raw ? 1 : 0, points: { show: false } };
    // The lower edge of an interval may lie beyond the bottom of a log scale.
    return { label: `${label} ${part}`, spanGaps, auto: !log || part !== 'low', ...look };
  }
  const points = { show: () => values.filter((value) => value !== null).length < 40, size: 4, fill: colour(tone) };
  return { label, stroke: colour(tone), width: 1.75, dash: [...dash], spanGaps, points };
}

function plainRange([from, to]: ChartSpec['range'], low: number | null, high: number | null): [number, number] {
  const bottom = from ?? Math.min(low ?? 0, 0);
  const top = to ?? Math.max(high ?? 1, 0);
  const air = (top - bottom) * 0.08;
  return top > bottom
    ? [from === null && bottom < 0 ? bottom - air : bottom, to === null ? top + air : top]
    : [bottom, bottom + 1];
}

/** Whole powers of ten, so that two of them are always named. */
function logRange(low: number | null, high: number | null): [number, number] {
  if (low === null || high === null || !(low > 0) || !Number.isFinite(high)) return [0.1, 1];
  return uPlot.rangeLog(low, high, 10, true) as [number, number];
}

/** Of more than two powers of ten, lines at these alone. */
function logGrid(plot: uPlot, splits: number[]): (number | null)[] {
  const { min, max } = plot.scales.y;
  const many = min && max && max / min > 100.5;
  return splits.map((value) => (many && !/^1e/.test(value.toExponential()) ? null : value));
}

/** Room for seven signs. */
function axisText(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.0005) return Number(value.toPrecision(3)).toExponential();
  return Math.abs(value) >= 10_000 ? `${value / 1_000}k` : String(Number(value.toPrecision(6)));
}

// ---- numbers along x --------------------------------------------------------------------------------------------

const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000];
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];
const times = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 20, 30].map((n) => n * MINUTE),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * HOUR),
];

function xAxis(axis: XAxis): uPlot.Axis {
  if (axis === 'step') return { space: 60, incrs: whole };
  const space = 72;
  if (axis === 'time') return { space, incrs: times, values: (_, splits, __, ___, every) => splits.map((ms) => timeText(ms, every)) }; // prettier-ignore
  return { space, values: (_, splits, __, ___, every) => splits.map((ms) => clockText(ms, every)) };
}

/** In the unit of the distance between two numbers. */
function timeText(ms: number, every: number): string {
  const [unit, name] = every < MINUTE ? [SECOND, 's'] : every < HOUR ? [MINUTE, 'min'] : [HOUR, 'h'];
  return `${Number((ms / unit).toPrecision(6))} ${name}`;
}

/** The time of day; the day where that begins, or where nothing else differs. */
function clockText(ms: number, every: number): string {
  const date = new Date(ms);
  const midnight = date.getHours() + date.getMinutes() + date.getSeconds() === 0;
  if (every >= DAY || midnight) return date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' });
  const seconds = every < MINUTE ? { second: '2-digit' as const } : {};
  return date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', ...seconds });
}
