/**
 * Everything that changes from step to step, in one small buffer: how many rows there are, and of each row its cache slot,
 * its position, its adapter, where its last hidden state goes and how its next token is drawn. Three vec4u a row, after one
 * of its own; behind the rows, of every slot the pages its keys lie in, which are written only when someone comes or goes.
 */
import type { Sampling } from '../protocol.ts';
import { reads } from './wgsl.ts';

export type StepRow = {
  readonly slot: number;
  readonly position: number;
  /** Where its own key goes, as the slot's table has it too; none where nothing is written. */
  readonly page?: number;
  /** Row of the states buffer that takes this row's hidden state, or null where nobody asks for it. */
  readonly out: number | null;
  /** Which of the adapters the plan was made for, or null for none. */
  readonly adapter: number | null;
};

/** What is cut off of a distribution before a token is drawn from it. */
export type Truncation = Pick<Sampling, 'topK' | 'topP' | 'minP'>;

/** How a row's token is drawn: 1 / temperature (0: the likeliest token), and a number from [0, 1). */
export type RowDraw = { readonly sharpness: number; readonly draw: number; readonly truncation?: Truncation };

/** In place of a row of the states, or of an adapter. */
const NONE = 0xffffffff;
const WORDS = 12;

export const STEP = reads('step', 'vec4u');

/** Where the tables of pages stand in a step buffer, in vec4u, and how many pages a slot's has. */
export type Tables = { readonly at: number; readonly width: number };
const NO_TABLES: Tables = { at: 0, width: 0 };

/** Behind so many rows. */
export const tablesBehind = (rows: number, width: number): Tables => ({ at: 1 + (rows * WORDS) / 4, width });

const tableWords = (slots: number, width: number): number => 4 * Math.ceil((slots * width) / 4);
export const stepWords = (rows: number, slots = 0, width = 0): number => 4 + rows * WORDS + tableWords(slots, width);

/**
 * WGSL that reads one row. `turns(n)` is n, as a number no compiler knows: drivers write out short loops of a known length, and
 * Mesa's software driver then takes seconds over a kernel (one with 23 turns: 5.3 s instead of 0.2).
 */
export const STEP_FUNCTIONS = `
fn stepRows() -> u32 { return step[0].x; }
fn turns(n: u32) -> u32 { return min(n, step[0].x * n); }
fn slotOf(row: u32) -> u32 { return step[1u + 3u * row].x; }
fn positionOf(row: u32) -> u32 { return step[1u + 3u * row].y; }
fn ownPageOf(row: u32) -> u32 { return step[2u + 3u * row].z; }
fn pageOf(row: u32, nth: u32) -> u32 {
  let i = slotOf(row) * step[0].z + nth;
  return step[step[0].y + i / 4u][i % 4u];
}
fn outOf(row: u32) -> u32 { return step[1u + 3u * row].z; }
fn adapterOf(row: u32) -> u32 { return step[1u + 3u * row].w; }
fn sharpnessOf(row: u32) -> f32 { return bitcast<f32>(step[2u + 3u * row].x); }
fn drawOf(row: u32) -> f32 { return bitcast<f32>(step[2u + 3u * row].y); }
fn topKOf(row: u32) -> u32 { return step[3u + 3u * row].x; }
fn topPOf(row: u32) -> f32 { return bitcast<f32>(step[3u + 3u * row].y); }
fn minPOf(row: u32) -> f32 { return bitcast<f32>(step[3u + 3u * row].z); }
fn truncates(row: u32) -> bool { return step[3u + 3u * row].w == 1u; }`;

export function writeStep(
  rows: readonly StepRow[],
  draws: readonly RowDraw[] = [],
  { at, width }: Tables = NO_TABLES,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(stepWords(rows.length));
  const reals = new Float32Array(words.buffer);
  words.set([rows.length, at, width]);
  for (const [i, { slot, position, out, adapter, page = 0 }] of rows.entries()) {
    words.set([slot, position, out ?? NONE, adapter ?? NONE], 4 + i * WORDS);
    words[10 + i * WORDS] = page;
  }
  for (const [i, { sharpness, draw, truncation }] of draws.entries()) {
    reals.set([sharpness, draw], 8 + i * WORDS);
    if (!truncation) continue;
    reals.set([truncation.topP, truncation.minP], 13 + i * WORDS);
    words.set([truncation.topK], 12 + i * WORDS);
    words.set([1], 15 + i * WORDS);
  }
  return words;
}

/** The pages of every slot, in the order of its positions. A slot without any has those of page 0. */
export function writeTables(slots: readonly (readonly number[])[], width: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(tableWords(slots.length, width));
  for (const [slot, pages] of slots.entries()) words.set(pages, slot * width);
  return words;
}

/** A buffer's words from beginning to end. */
export function wholeStep(
  rows: readonly StepRow[],
  draws: readonly RowDraw[],
  slots: readonly (readonly number[])[],
): Int32Array {
  const width = slots.reduce((most, { length }) => Math.max(most, length), 0);
  const [step, tables] = [writeStep(rows, draws, tablesBehind(rows.length, width)), writeTables(slots, width)];
  const words = new Int32Array(step.length + tables.length);
  words.set(step);
  words.set(tables, step.length);
  return words;
}
