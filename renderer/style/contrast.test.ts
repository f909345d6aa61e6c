import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

type Theme = Record<string, string>;

const css = readFileSync(new URL('./tokens.css', import.meta.url), 'utf8');

function theme(name: 'dark' | 'light'): Theme {
  const start = css.indexOf(`[data-theme='${name}']`);
  const body = css.slice(start, css.indexOf('}', start));
  return Object.fromEntries([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map((found) => [found[1], found[2]]));
}

/** WCAG 2.2 relative luminance. */
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}

const grounds = ['bg', 'panel', 'raised', 'hover', 'accent-wash'];
const texts = ['text', 'muted', 'accent', 'warn', 'error', 'ok', 'good', 'bad'];
const shapes = ['control', 'zero', 'role-1', 'role-2', 'role-3', 'role-4', 'role-5', 'role-6', 'role-7', 'focus'];

describe.each(['dark', 'light'] as const)('%s theme', (name) => {
  const colours = theme(name);
  it.each(texts.flatMap((text) => grounds.map((ground) => [text, ground])))('%s on %s reaches 4.5', (text, ground) => {
    expect(contrast(colours[text], colours[ground])).toBeGreaterThanOrEqual(4.5);
  });
  it.each(['bg', 'panel', 'raised'].map((ground) => ['faint', ground]))('%s on %s reaches 4.5', (text, ground) => {
    expect(contrast(colours[text], colours[ground])).toBeGreaterThanOrEqual(4.5);
  });
  it.each(shapes.flatMap((shape) => ['bg', 'panel', 'raised'].map((ground) => [shape, ground])))(
    '%s on %s reaches 3',
    (shape, ground) => expect(contrast(colours[shape], colours[ground])).toBeGreaterThanOrEqual(3),
  );
  it('keeps the label of a primary button readable', () => {
    expect(contrast(colours['accent-ink'], colours.accent)).toBeGreaterThanOrEqual(4.5);
  });
});

/** Linear RGB as a person without one kind of cone sees it. Source: Machado, Oliveira and Fernandes 2009, severity 1. */
const visions = {
  protanopia: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
  deuteranopia: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881],
  tritanopia: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.3039],
} as const;

function linear(hex: string): number[] {
  return [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
}

/** CIE L*a*b* of linear sRGB under D65. */
function lab([r, g, b]: readonly number[]): number[] {
  const f = (t: number): number => (t > 216 / 24_389 ? Math.cbrt(t) : (t * 24_389) / 27 / 116 + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** How far apart two colours look, ΔE 1976; 2.3 is just noticeable. */
function apart(a: string, b: string, vision: keyof typeof visions): number {
  const seen = (hex: string): number[] => {
    const [m, c] = [visions[vision], linear(hex)];
    return lab([0, 3, 6].map((at) => Math.min(1, Math.max(0, m[at] * c[0] + m[at + 1] * c[1] + m[at + 2] * c[2]))));
  };
  const [p, q] = [seen(a), seen(b)];
  return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]);
}

describe.each(['dark', 'light'] as const)('%s theme without one kind of cone', (name) => {
  const colours = theme(name);
  const kinds = Object.keys(visions) as (keyof typeof visions)[];
  // Lines and roles also differ by dash, marks by sign: colour need only help.
  const first = ['role-1', 'role-2', 'role-3', 'role-4'];
  const pairs = first.flatMap((a, at) => first.slice(at + 1).map((b) => [a, b] as const));
  it.each(kinds)('keeps the first four roles apart in %s', (vision) => {
    const close = pairs.filter(([a, b]) => apart(colours[a], colours[b], vision) < 10);
    expect(close).toEqual([]);
  });
  it.each(kinds)('keeps good and bad, and both from neutral, apart in %s', (vision) => {
    const ends = [['good', 'bad'], ['good', 'zero'], ['bad', 'zero']] as const; // prettier-ignore
    expect(ends.filter(([a, b]) => apart(colours[a], colours[b], vision) < 10)).toEqual([]);
  });
});
