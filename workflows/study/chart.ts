/**
 * A line chart as one SVG element: a bold line for each arm's mean, thin ones for its runs. Everything is in the picture
 * (scales, legend, a title for screen readers), so that it stands alone in a page or a file. Colours are Okabe and Ito's,
 * which colour-blind readers tell apart; beyond seven arms the dashes differ.
 */
import { escapeXml } from '../export/html.ts';

export type Point = readonly [x: number, y: number];
export type Series = {
  readonly label: string;
  readonly mean: readonly Point[];
  readonly runs: readonly (readonly Point[])[];
};
export type Chart = {
  readonly name: string;
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
};

const colours = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#555555'];
const dashes = ['', '6 3', '2 3', '8 3 2 3'];
const size = { width: 680, height: 320, left: 56, right: 16, top: 30, bottom: 44 };
const legendRow = 18;

/** The picture, [width, height] in its viewBox. Needs at least one point. */
export function chartSvg({ title, x, y, series }: Chart): string {
  const points = series.flatMap(({ mean, runs }) => [...mean, ...runs.flat()]);
  const [xs, ys] = [scaleOf(points.map(([at]) => at)), scaleOf(points.map(([, at]) => at))];
  const inner = { width: size.width - size.left - size.right, height: size.height - size.top - size.bottom };
  const place = ([px, py]: Point): string =>
    `${round(size.left + ((px - xs.low) / (xs.high - xs.low)) * inner.width)},${round(size.top + (1 - (py - ys.low) / (ys.high - ys.low)) * inner.height)}`;
  const height = size.height + legendRow * series.length;
  const parts = [
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${size.width}" height="${height}" fill="#fff"/>`,
    `<text x="${size.left}" y="18" font-weight="600">${escapeXml(title)}</text>`,
    ...ys.ticks.map((tick) => gridLine(place([xs.low, tick]), place([xs.high, tick]), tick)),
    ...xs.ticks.map((tick) => tickLabel(place([tick, ys.low]), tick)),
    `<text x="${size.left + inner.width / 2}" y="${size.height - 8}" text-anchor="middle">${escapeXml(x)}</text>`,
    `<text transform="translate(14 ${size.top + inner.height / 2}) rotate(-90)" text-anchor="middle">${escapeXml(y)}</text>`,
    ...series.flatMap((each, i) => lines(each, i, place)),
    ...series.map(({ label }, i) => legend(label, i)),
  ];
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${size.width} ${height}" width="${size.width}" height="${height}" font-family="system-ui, sans-serif" font-size="12" fill="#222">${parts.join('')}</svg>`;
}

function lines({ mean, runs }: Series, i: number, place: (point: Point) => string): string[] {
  const line = (points: readonly Point[], width: number, opacity: number) =>
    points.length === 0
      ? ''
      : `<polyline points="${points.map(place).join(' ')}" fill="none" ${strokeOf(i)} stroke-width="${width}" stroke-opacity="${opacity}"/>`;
  const dots = mean.map((point) => {
    const [cx, cy] = place(point).split(',');
    return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colours[i % colours.length]}"/>`;
  });
  return [...(runs.length > 1 ? runs.map((run) => line(run, 1, 0.35)) : []), line(mean, 2.5, 1), ...dots];
}

function strokeOf(i: number): string {
  const dash = dashes[Math.floor(i / colours.length) % dashes.length];
  return `stroke="${colours[i % colours.length]}"${dash === '' ? '' : ` stroke-dasharray="${dash}"`}`;
}

function legend(label: string, i: number): string {
  const at = size.height + legendRow * i + 4;
  return `<line x1="${size.left}" y1="${at}" x2="${size.left + 28}" y2="${at}" ${strokeOf(i)} stroke-width="2.5"/><text x="${size.left + 36}" y="${at + 4}">${escapeXml(label)}</text>`;
}

function gridLine(from: string, to: string, tick: number): string {
  const [x1, y1] = from.split(',');
  const [x2] = to.split(',');
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y1}" stroke="#ddd"/><text x="${Number(x1) - 6}" y="${Number(y1) + 4}" text-anchor="end">${plain(tick)}</text>`;
}

function tickLabel(at: string, tick: number): string {
  const [x, y] = at.split(',');
  return `<text x="${x}" y="${Number(y) + 16}" text-anchor="middle">${plain(tick)}</text>`;
}

type Scale = { low: number; high: number; ticks: number[] };

/** Round steps, about five of them, that hold all numbers. */
function scaleOf(numbers: readonly number[]): Scale {
  const [least, most] = numbers.reduce(([a, b], n) => [Math.min(a, n), Math.max(b, n)], [Infinity, -Infinity]);
  const span = most - least || Math.abs(most) || 1;
  const rough = span / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const low = Math.floor(least / step) * step;
  const high = Math.max(low + step, Math.ceil(most / step) * step);
  const count = Math.round((high - low) / step);
  return { low, high, ticks: Array.from({ length: count + 1 }, (_, i) => low + i * step) };
}

function plain(number: number): string {
  return String(Number(number.toPrecision(6)));
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}
