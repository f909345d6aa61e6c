/**
 * How weights lie for the products of decoding: as they are, as half floats, or as 32 columns of a row to a block of small
 * integers. A packed matrix is its rows one after the other and, behind them all, a word for every block: scale d and
 * offset m as half floats. Half floats are unpacked by a function every device has, so arithmetic is float32 throughout.
 * Source of the blocks: Q8_0 (w = d q) and Q4_1 (w = d q + m) of the ggml library; Q4_0 is Q4_1 with m = -8 d.
 */
import type { WeightPrecision } from '../protocol.ts';
import type { Element } from './wgsl.ts';

export type WeightFormat = {
  readonly precision: WeightPrecision;
  /** What one element of the binding is. */
  readonly element: Element;
  /** 32-bit words of an element. */
  readonly words: number;
  /** Whether blocks of columns share a scale. */
  readonly blocked: boolean;
};

/** Columns of a block, in fours. */
export const BLOCK4 = 8;

const FORMATS: Readonly<Record<WeightPrecision, WeightFormat>> = {
  f32: { precision: 'f32', element: 'vec4f', words: 4, blocked: false },
  f16: { precision: 'f16', element: 'vec2u', words: 2, blocked: false },
  q8: { precision: 'q8', element: 'u32', words: 1, blocked: true },
  q4: { precision: 'q4', element: 'u32', words: 1, blocked: true },
};

export const formatOf = (precision: WeightPrecision): WeightFormat => FORMATS[precision];

/** Elements of a row of `columns`; four columns to each but in q4, where it is eight. */
export function rowElements({ precision }: WeightFormat, columns: number): number {
  return Math.ceil(columns / (precision === 'q4' ? 8 : 4));
}

/** Blocks of a row, the last of which may be short. */
export const rowBlocks = (columns: number): number => Math.ceil(columns / (4 * BLOCK4));

/** 32-bit words of a matrix. */
export function packedWords(format: WeightFormat, rows: number, columns: number): number {
  return rows * (rowElements(format, columns) * format.words + (format.blocked ? rowBlocks(columns) : 0));
}

/** Constants that the expressions below name. */
export function formatCounts(format: WeightFormat, columns: number): Record<string, number> {
  return { ROW: rowElements(format, columns), ...(format.blocked ? { BLOCKS: rowBlocks(columns) } : {}) };
}

/** WGSL: the scale and offset, a vec2f, of the block of four `k` of row `row` of `rows`. */
export function scaleAt(matrix: string, rows: number, row: string, k: string): string {
  return `unpack2x16float(${matrix}[${rows}u * ROW + ${row} * BLOCKS + ${k} / ${BLOCK4}u])`;
}

/** WGSL: columns 4k … 4k + 3, a vec4f, of the row that begins at element `at`; `scale` is what `scaleAt` gives. */
export function fourAt({ precision }: WeightFormat, matrix: string, at: string, k: string, scale: string): string {
  switch (precision) {
    case 'f32':
      return `${matrix}[${at} + ${k}]`;
    case 'f16':
      return `halves(${matrix}[${at} + ${k}])`;
    case 'q8':
      return `(bytes(${matrix}[${at} + ${k}]) * ${scale}.x)`;
    case 'q4':
      return `fma(nibbles(${matrix}[${at} + ${k} / 2u] >> (${k} % 2u * 16u)), vec4f(${scale}.x), vec4f(${scale}.y))`;
    default:
      return precision satisfies never;
  }
}

/** WGSL functions those expressions call. Shifting left and back again keeps a byte's sign. */
export function formatFunctions({ precision }: WeightFormat): string {
  switch (precision) {
    case 'f32':
      return '';
    case 'f16':
      return 'fn halves(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }';
    case 'q8':
      return 'fn bytes(w: u32) -> vec4f { return vec4f(bitcast<vec4i>(vec4u(w) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u)); }';
    case 'q4':
      return 'fn nibbles(w: u32) -> vec4f { return vec4f((vec4u(w) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)); }';
    default:
      return precision satisfies never;
  }
}
