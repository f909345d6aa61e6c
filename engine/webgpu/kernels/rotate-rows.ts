/**
 * Rotary positions of rows of heads, in place; turned back by the opposite sign, which is also the gradient. Dimension i
 * pairs with i + headDim/2. Source: Su et al. 2021, "RoFormer", eq. 34, with the halves layout of GPT-NeoX.
 */
import { FLOATS, storedGradient } from '../activation.ts';
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

/** An item is a pair of a head of a row. Bindings: positions [rows], table [positions, headDim / 2] of cos and sin, x [rows, heads, headDim]. */
export function rotateRowsKernel(headDim: number, cut: Cut, { one } = FLOATS): SizedKernel {
  return sizedKernel(`rotate rows of ${headDim}`, {
    bindings: [reads('positions', 'u32'), reads('table', 'vec2f'), writes('x', one)],
    counts: { DIM: headDim, HALF: headDim / 2 },
    ...{ sizes: ['heads'], reals: ['sign'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let i = item % HALF;
  let at = item / HALF * DIM + i;
  let turn = table[positions[item / HALF / heads] * HALF + i] * vec2f(1f, sign);
  let low = f32(x[at]);
  let high = f32(x[at + HALF]);
  let first = low * turn.x - high * turn.y;
  let second = high * turn.x + low * turn.y;
  x[at] = ${storedGradient(one, 'first')};
  x[at + HALF] = ${storedGradient(one, 'second')};`,
  });
}

export function rotateRowsReference(
  headDim: number,
  heads: number,
  sign: number,
  inputs: { readonly positions: Uint32Array; readonly table: Float32Array; readonly x: Float32Array },
): Float32Array {
  const half = headDim / 2;
  return inputs.x.map((value, at) => {
    const i = at % headDim;
    const turn = 2 * (inputs.positions[Math.floor(at / headDim / heads)] * half + (i % half));
    const [cos, sin] = [inputs.table[turn], sign * inputs.table[turn + 1]];
    return i < half ? value * cos - inputs.x[at + half] * sin : value * cos + inputs.x[at - half] * sin;
  });
}
