/**
 * What products that stage tiles in workgroup memory have in common, whatever multiplies the tiles: how large they are, how
 * 256 parts of an operand, of four numbers each, come to lie in them by depth, and what becomes of a sum.
 */
import { FLOATS, stored, storedGradient, type Activation } from '../activation.ts';
import { each } from '../wgsl.ts';

export type Orientation = 'nn' | 'nt' | 'tn';
export const PRODUCT_MODE = { replace: 0, add: 1, plusMatrix: 2, plusRow: 3 } as const;
export type ProductMode = keyof typeof PRODUCT_MODE;

/** Rows and columns of c that a workgroup takes together, how much of k is staged at once, and in how many parts. */
export const TILE = 64;
export const DEPTH = 16;
export const STAGED_PARTS = 256;

/** How a, b and c lie in memory. */
export type ProductElements = Readonly<Record<'a' | 'b' | 'c', Activation>>;
export const ALL_FLOATS: ProductElements = { a: FLOATS, b: FLOATS, c: FLOATS };

/** In "nt" c is of the forward pass, else a gradient. */
export function finishing(orientation: Orientation, { one }: Activation): string {
  const keep = orientation === 'nt' ? stored : storedGradient;
  return `
fn finish(row: u32, column: u32, n: u32, mode: u32, product: f32) {
  let at = row * n + column;
  var value = product;
  if (mode == ${PRODUCT_MODE.add}u) { value += f32(c[at]); }
  else if (mode == ${PRODUCT_MODE.plusMatrix}u) { value += addend[at]; }
  else if (mode == ${PRODUCT_MODE.plusRow}u) { value += addend[column]; }
  c[at] = ${keep(one, 'value')};
}`;
}

/** Statements that stage part `part` of both operands, to places that `keep` knows by side. */
export function stagings(
  orientation: Orientation,
  stride: number,
  keep: (side: 'left' | 'right') => Staging['put'],
): { readonly left: string; readonly right: string } {
  const a = { operand: 'a', first: 'top', limit: 'm', stride, put: keep('left') };
  const b = { operand: 'b', first: 'start', limit: 'n', stride, put: keep('right') };
  return {
    left: orientation === 'tn' ? stageStraight(a) : stageTurned(a),
    right: orientation === 'nt' ? stageTurned(b) : stageStraight(b),
  };
}

/** An operand on its way: from `first` of its own dimension on, below `limit`, to places [depth, own] of lines of `stride`. */
type Staging = {
  readonly operand: string;
  readonly first: string;
  readonly limit: string;
  readonly stride: number;
  /** Statement that keeps a number, given the two as expressions. */
  put(at: string, value: string): string;
};

/** Part `part` of an operand that lies as [its own dimension, k]: four of k, written across. Knows `first`, where k begins. */
function stageTurned({ operand, first, limit, stride, put }: Staging): string {
  return `
      let own = part / 4u;
      let depth = part % 4u;
      var v = vec4f();
      if (${first} + own < ${limit} && first + 4u * depth < k) {
        v = vec4f(${operand}[(${first} + own) * (k / 4u) + first / 4u + depth]);
      }
${each(4, `      ${put(`(4u * depth + #u) * ${stride}u + own`, 'v[#]')}`)}`;
}

/** The same of one that lies as [k, its own dimension]. */
function stageStraight({ operand, first, limit, stride, put }: Staging): string {
  return `
      let depth = part / 16u;
      let own = part % 16u * 4u;
      var v = vec4f();
      if (first + depth < k && ${first} + own < ${limit}) {
        v = vec4f(${operand}[(first + depth) * (${limit} / 4u) + (${first} + own) / 4u]);
      }
${each(4, `      ${put(`depth * ${stride}u + own + #u`, 'v[#]')}`)}`;
}
