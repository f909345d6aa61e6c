/**
 * Rows of a matrix by number, and the gradient of the embedding. Taking rows back to where they came from is taking as well,
 * with zeros for what nobody took, so nothing is ever scattered and no sum depends on chance.
 */
import { FLOATS } from '../activation.ts';
import { itemOfThread, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { reads, writes } from '../wgsl.ts';

/** A row number that stands for a row of zeros. */
export const NO_ROW = 0xffffffff;

/**
 * An item is four numbers of a row. x may be a part of a matrix, its rows `first` … first + held - 1; then each part's call
 * writes what lies in it. Bindings: rows [count / c4], x, y.
 */
export function takeRowsKernel(cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel('take rows', {
    bindings: [reads('rows', 'u32'), reads('x', four), writes('y', four)],
    ...{ counts: {}, sizes: ['c4', 'first', 'held'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let row = rows[item / c4];
  let source = row - first; // rows below first wrap around and fail the test
  if (row == ${NO_ROW}u) { y[item] = ${four}(); } else if (source < held) { y[item] = x[source * c4 + item % c4]; }`,
  });
}

export function takeRowsReference(columns: number, rows: Uint32Array, x: Float32Array): Float32Array {
  return Float32Array.from({ length: rows.length * columns }, (_, i) => {
    const from = rows[Math.floor(i / columns)];
    return from === NO_ROW ? 0 : x[from * columns + (i % columns)];
  });
}

/**
 * An item is four columns of one token of the vocabulary, from `first` on: alpha times the sum of the gradients of its rows,
 * 0 without any. Bindings: starts [vocab + 1], members: rows sorted by token; dx [rows, 4 c4], dy [tokens of this part, 4 c4].
 */
export function embedGradKernel(cut: Cut): SizedKernel {
  return sizedKernel('embedding gradient', {
    bindings: [reads('starts', 'u32'), reads('members', 'u32'), reads('dx', 'vec4f'), writes('dy', 'vec4f')],
    ...{ counts: {}, sizes: ['c4', 'first'], reals: ['alpha'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let token = first + item / c4;
  var sum = vec4f();
  for (var i = starts[token]; i < starts[token + 1u]; i++) { sum += dx[members[i] * c4 + item % c4]; }
  dy[item] = alpha * sum;`,
  });
}

/** Rows by the token they hold. */
export function membersByToken(ids: Int32Array, vocab: number): { starts: Uint32Array; members: Uint32Array } {
  const starts = new Uint32Array(vocab + 1);
  for (const id of ids) starts[id + 1]++;
  for (let token = 0; token < vocab; token++) starts[token + 1] += starts[token];
  const next = starts.slice();
  const members = new Uint32Array(ids.length);
  for (const [row, id] of ids.entries()) members[next[id]++] = row;
  return { starts, members };
}

/** [vocab, columns] */
export function embedGradReference(columns: number, vocab: number, ids: Int32Array, dx: Float32Array): Float32Array {
  const out = new Float32Array(vocab * columns);
  for (const [row, id] of ids.entries())
    for (let i = 0; i < columns; i++) out[id * columns + i] += dx[row * columns + i];
  return out;
}
