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
