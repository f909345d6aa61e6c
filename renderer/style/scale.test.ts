/** One type scale, one spacing scale, and motion that nobody waits for: every style sheet of the workbench is read and held to them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
/** Cards and notes on a canvas are drawn in its units and shown at any zoom. */
const drawn = ['NodeCard.svelte', 'RecordCard.svelte', 'StickyNote.svelte'];

type Sheet = { name: string; css: string };
const sheets: Sheet[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(svelte|css)$/.test(name))
  .map((name) => {
    const text = readFileSync(join(root, name), 'utf8');
    const css = name.endsWith('.css') ? text : (/<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? '');
    return { name, css: css.replace(/\/\*[\s\S]*?\*\//g, '') };
  });
const onScreen = sheets.filter(({ name }) => !drawn.some((card) => name.endsWith(card)));

/** "file: property: value" of every declaration whose property fits. */
function declarations(from: readonly Sheet[], property: RegExp): { where: string; value: string }[] {
  return from.flatMap(({ name, css }) =>
    [...css.matchAll(/(?<=[\s;{])(-{0,2}[\w-]+)\s*:\s*([^;{}]+)[;}]/g)]
      .filter(([, found]) => property.test(found))
      .map(([, found, value]) => ({ where: `${name}: ${found}: ${value.trim()}`, value: value.trim() })),
  );
}

describe('the style sheets', () => {
  it('are read', () => {
    expect(sheets.length).toBeGreaterThan(50);
    expect(declarations(sheets, /^font-size$/).length).toBeGreaterThan(50);
  });
  it('have one type scale', () => {
    const other = declarations(onScreen, /^font-size$/).filter(
      ({ value }) => !/^(var\(--text-\w+\)|inherit|1em)$/.test(value),
    );
    expect(other.map(({ where }) => where)).toEqual([]);
    const short = declarations(onScreen, /^font$/).filter(
      ({ value }) => !/^(inherit|var\(--text-\w+\)( \/ [\d.]+)? var\(--font-\w+\))$/.test(value),
    );
    expect(short.map(({ where }) => where)).toEqual([]);
  });
  it('have one spacing scale', () => {
    const scale = [1, 2, 4, 6, 8, 12, 16, 24, 32];
    const tokens = declarations(sheets, /^--s\d$/).map(({ value }) => parseFloat(value));
    expect(tokens.length).toBe(6);
    expect(tokens.filter((one) => !scale.includes(one))).toEqual([]);
    const off = declarations(onScreen, /^(padding|margin|gap|row-gap|column-gap)(-\w+)*$/).filter(({ value }) =>
      [...value.matchAll(/(-?[\d.]+)px/g)].some(([, size]) => !scale.includes(Math.abs(Number(size)))),
    );
    expect(off.map(({ where }) => where)).toEqual([]);
  });
  it('move for less than 150 ms, and not at all where the system asks for that', () => {
    expect(declarations(sheets, /^transition$/).length).toBeGreaterThan(0);
    // What turns without end says that something works; it leads nowhere that anybody waits for.
    const moving = declarations(sheets, /^(transition|animation)(-duration)?$/).filter(
      ({ value }) => !/infinite/.test(value),
    );
    const slow = moving.filter(({ value }) =>
      [...value.matchAll(/([\d.]+)(m?)s\b/g)].some(([, time, milli]) => Number(time) * (milli ? 1 : 1_000) >= 150),
    );
    expect(slow.map(({ where }) => where)).toEqual([]);
    const base = sheets.find(({ name }) => name.endsWith('base.css'))!.css;
    expect(base).toMatch(
      /prefers-reduced-motion: reduce\) \{\s*\*,\s*\*::before,\s*\*::after \{[^}]*transition: none !important/,
    );
  });
});
