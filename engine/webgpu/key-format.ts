/**
 * How keys and values lie in a cache: as they are, or as half floats in pairs. Pairs are packed and unpacked by functions
 * that every device has, so half floats need no feature of it, and arithmetic is float32 throughout.
 */
import type { KeyPrecision } from '../protocol.ts';
import type { Element } from './wgsl.ts';

export type KeyFormat = {
  readonly precision: KeyPrecision;
  readonly bytes: 2 | 4;
  /** What holds two neighbouring dimensions, and what holds four. */
  readonly pair: Element;
  readonly four: Element;
  /** What holds one and its neighbour, where that cannot be had alone. */
  readonly one: Element;
};

const FORMATS: Readonly<Record<KeyPrecision, KeyFormat>> = {
  f32: { precision: 'f32', bytes: 4, pair: 'vec2f', four: 'vec4f', one: 'f32' },
  f16: { precision: 'f16', bytes: 2, pair: 'u32', four: 'vec2u', one: 'u32' },
};

export const keyFormatOf = (precision: KeyPrecision): KeyFormat => FORMATS[precision];

/** WGSL: two numbers, a vec2f, as they are stored. */
export const asPair = ({ precision }: KeyFormat, pair: string): string =>
  precision === 'f32' ? pair : `pack2x16float(${pair})`;

/** WGSL: dimensions 4i … 4i + 3 of what `keys` holds in fours, a vec4f. */
export const fourKeys = ({ precision }: KeyFormat, keys: string, i: string): string =>
  precision === 'f32' ? `${keys}[${i}]` : `halves(${keys}[${i}])`;

/** The function that calls. */
export const keyFunctions = ({ precision }: KeyFormat): string =>
  precision === 'f32'
    ? ''
    : 'fn halves(w: vec2u) -> vec4f { return vec4f(unpack2x16float(w.x), unpack2x16float(w.y)); }';

/** WGSL: dimension `d` of the key that begins at dimension `at`, an even number. */
export const oneKey = ({ precision }: KeyFormat, keys: string, at: string, d: string): string =>
  precision === 'f32'
    ? `${keys}[${at} + ${d}]`
    : `unpack2x16float(${keys}[(${at} + ${d}) / 2u] >> (${d} % 2u * 16u)).x`;
