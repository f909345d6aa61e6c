/**
 * Matrix products of any size in three orientations, with f32 sums: c = alpha · op(a) op(b) and then, by `mode`, instead of
 * c, on top of it, plus a matrix or plus a row. The forward pass is "nt" (weights lie as [out, in]), the gradient of an
 * input "nn", of a weight "tn". A GPU stages tiles in workgroup memory; an emulating adapter, where waiting and loading are
 * dear, gives every thread sums of its own, and where it has vectors they load what their threads share once. Matrix units
 * multiply staged tiles: `product-matrix.ts`. Operands and c may be half floats. In "nn" and "nt" k, in "nn" and "tn" n, in "tn" m are multiples of 4.
 */
import { matrixWords, type MatrixWords } from '../matrix-unit.ts';
import { sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import {
  ALL_FLOATS,
  DEPTH,
  finishing,
  STAGED_PARTS,
  stagings,
  TILE,
  type Orientation,
  type ProductElements,
  type ProductMode,
} from './product-tiles.ts';
import { matrixProduct } from './product-matrix.ts';
import { each, fourOf, reads, texels, writes } from '../wgsl.ts';

/** Rows and columns of c that a thread takes where it works alone; rows where numbers are handed round. */
const ROWS = 8;
const COLUMNS = 4;
const ROUND_ROWS = 16;
/** Padded, so that the transposing writes of neighbours fall into different banks. */
const STRIDE = TILE + 4;
/** The operands where numbers are handed round. */
const [A, B] = [texels('a'), texels('b')];

/**
 * Sizes m, n, k, mode, alpha; the count is `productItems`. Bindings: a ([m, k], in "tn" [k, m]), b ([k, n], in "nt" [n, k]),
 * addend ([m, n] or [n], read in two modes only), c [m, n].
 */
export function productKernel(
  orientation: Orientation,
  { team, threads, handRound, matrix }: Cut,
  words: MatrixWords | null = matrix && matrixWords(matrix),
  elements: ProductElements = ALL_FLOATS,
): SizedKernel {
  const shape = {
    bindings: [
      ...[reads('a', elements.a.four), reads('b', elements.b.four)],
      ...[reads('addend', 'f32'), writes('c', elements.c.one)],
    ],
    ...{ counts: {}, sizes: ['m', 'n', 'k', 'mode'], reals: ['alpha'] },
    functions: finishing(orientation, elements.c),
  };
  if (matrix && words)
    return sizedKernel(`product ${orientation}, on matrix units`, {
      ...shape,
      ...matrixProduct(orientation, matrix, words, elements),
    });
  if (team > 1)
    return sizedKernel(`product ${orientation}`, {
      ...shape,
      ...{ threads: STAGED_PARTS, perGroup: 1, shared: { left: DEPTH * STRIDE, right: DEPTH * STRIDE } },
      main: togetherMain(orientation),
    });
  if (handRound > 0)
    return sizedKernel(`product ${orientation}, handed round`, {
      ...{ ...shape, bindings: [A, B, ...shape.bindings.slice(2)] },
      ...{ threads: handRound, perGroup: 1, subgroups: true, main: roundMain(orientation, handRound) },
    });
  const main = aloneMain(orientation, threads);
  return sizedKernel(`product ${orientation}, alone`, { ...shape, threads, perGroup: threads, main });
}

/** Items of a call: tiles of a thread or of a workgroup. */
export function productItems(m: number, n: number, { team, handRound, matrix }: Cut): number {
  const tiles = (rows: number, columns: number): number => Math.ceil(m / rows) * Math.ceil(n / columns);
  if (matrix || team > 1) return tiles(TILE, TILE);
  return handRound > 0 ? tiles(ROUND_ROWS, COLUMNS * handRound) : tiles(ROWS, COLUMNS);
}

/** Beyond the edges the last row or column is computed again and thrown away. */
function aloneMain(orientation: Orientation, threads: number): string {
  const sums = Array.from({ length: ROWS * COLUMNS }, (_, i) =>
    orientation === 'nt' ? `s${i}` : `s${Math.floor(i / COLUMNS)}.${'xyzw'[i % COLUMNS]}`,
  );
  return `
  let tile = block * ${threads}u + thread;
  if (tile >= count) { return; }
  let across = (n + ${COLUMNS - 1}u) / ${COLUMNS}u;
  let row = tile / across * ${ROWS}u;
  let column = tile % across * ${COLUMNS}u;
${ALONE_LOOP[orientation]}
  var sums = array<f32, ${sums.length}>(${sums.join(', ')});
  for (var i = 0u; i < min(${ROWS}u, m - row); i++) {
    for (var j = 0u; j < min(${COLUMNS}u, n - column); j++) {
      finish(row + i, column + j, n, mode, alpha * sums[i * ${COLUMNS}u + j]);
    }
  }`;
}

const ALONE_LOOP: Readonly<Record<Orientation, string>> = {
  nt: `
  let k4 = k / 4u;
${each(ROWS, '  let a# = min(row + #u, m - 1u) * k4;')}
${each(COLUMNS, '  let b# = min(column + #u, n - 1u) * k4;')}
${each(ROWS * COLUMNS, '  var s# = 0f;')}
  for (var i = 0u; i < k4; i++) {
${each(ROWS, '    let x# = vec4f(a[a# + i]);')}
${each(COLUMNS, '    let w# = vec4f(b[b# + i]);')}
${Array.from({ length: ROWS * COLUMNS }, (_, i) => `    s${i} += dot(x${Math.floor(i / COLUMNS)}, w${i % COLUMNS});`).join('\n')}
  }`,
  nn: `
  let k4 = k / 4u;
  let n4 = n / 4u;
${each(ROWS, '  let a# = min(row + #u, m - 1u) * k4;')}
${each(ROWS, '  var s# = vec4f();')}
  for (var i = 0u; i < k4; i++) {
    let at = 4u * i * n4 + column / 4u;
${each(4, '    let w# = vec4f(b[at + #u * n4]);')}
${each(ROWS, '    let x# = vec4f(a[a# + i]);')}
${each(ROWS, '    s# = fma(vec4f(x#.w), w3, fma(vec4f(x#.z), w2, fma(vec4f(x#.y), w1, fma(vec4f(x#.x), w0, s#))));')}
  }`,
  tn: `
  let m4 = m / 4u;
  let n4 = n / 4u;
  let low = row / 4u;
  let high = min(low + 1u, m4 - 1u);
${each(ROWS, '  var s# = vec4f();')}
  for (var i = 0u; i < k; i++) {
    let w = vec4f(b[i * n4 + column / 4u]);
    let x0 = vec4f(a[i * m4 + low]);
    let x1 = vec4f(a[i * m4 + high]);
${Array.from({ length: ROWS }, (_, i) => `    s${i} = fma(vec4f(x${Math.floor(i / 4)}.${'xyzw'[i % 4]}), w, s${i});`).join('\n')}
  }`,
};

/** The workgroup is one vector, whose threads take the same rows and neighbouring columns. */
function roundMain(orientation: Orientation, threads: number): string {
  const sums = Array.from(
    { length: ROUND_ROWS * COLUMNS },
    (_, i) => `s${Math.floor(i / COLUMNS)}.${'xyzw'[i % COLUMNS]}`,
  );
  return `
  let across = (n + ${threads * COLUMNS - 1}u) / ${threads * COLUMNS}u;
  let row = block / across * ${ROUND_ROWS}u;
  let column = (block % across * ${threads}u + thread) * ${COLUMNS}u;
${each(ROUND_ROWS, '  var s# = vec4f();')}
${ROUND_LOOP[orientation]}
  if (block >= count || column >= n) { return; }
  var sums = array<f32, ${sums.length}>(${sums.join(', ')});
  for (var i = 0u; i < min(${ROUND_ROWS}u, m - row); i++) {
    for (var j = 0u; j < min(${COLUMNS}u, n - column); j++) {
      finish(row + i, column + j, n, mode, alpha * sums[i * ${COLUMNS}u + j]);
    }
  }`;
}

const OWN_ROWS = `
  let k4 = k / 4u;
${each(ROUND_ROWS, '  let a# = min(row + #u, m - 1u) * k4;')}`;

/** Four of k a turn; every thread keeps what its own turn needs of all rows. */
const takeTurns = (every: string): string => `
  for (var start = 0u; start < k4; start += lanes) {
    let mine = min(start + lane, k4 - 1u);
${each(ROUND_ROWS, `    let own# = ${fourOf(A, 'a# + mine')};`)}
    for (var j = 0u; j < min(lanes, k4 - start); j++) {
${every}
    }
  }`;

/** A sum plus the dot product of two vec4f, in four steps; `dot` is eight on drivers that fuse nothing by themselves. */
function addDot(sum: string, a: string, b: string): string {
  return ['x', 'y', 'z', 'w'].reduce((before, c) => `fma(${a}.${c}, ${b}.${c}, ${before})`, sum);
}

const ROUND_LOOP: Readonly<Record<Orientation, string>> = {
  nt: `${OWN_ROWS}
${each(COLUMNS, '  let b# = min(column + #u, n - 1u) * k4;')}
${takeTurns(`${each(COLUMNS, `      let w# = ${fourOf(B, 'b# + start + j')};`)}
${each(
  ROUND_ROWS,
  `      { let x = subgroupShuffle(own#, j); s# = vec4f(${[0, 1, 2, 3].map((c) => addDot(`s#.${'xyzw'[c]}`, 'x', `w${c}`)).join(', ')}); }`,
)}`)}`,
  nn: `${OWN_ROWS}
  let n4 = n / 4u;
  let b0 = min(column / 4u, n4 - 1u);
${takeTurns(`      let at = 4u * (start + j) * n4 + b0;
${each(4, `      let w# = ${fourOf(B, 'at + #u * n4')};`)}
${each(
  ROUND_ROWS,
  '      { let x = subgroupShuffle(own#, j); s# = fma(vec4f(x.w), w3, fma(vec4f(x.z), w2, fma(vec4f(x.y), w1, fma(vec4f(x.x), w0, s#)))); }',
)}`)}`,
  tn: `
  let m4 = m / 4u;
  let n4 = n / 4u;
  let b0 = min(column / 4u, n4 - 1u);
${each(ROUND_ROWS / 4, '  let a# = min(row / 4u + #u, m4 - 1u);')}
  for (var start = 0u; start < k; start += lanes) {
    let mine = min(start + lane, k - 1u) * m4;
${each(ROUND_ROWS / 4, `    let own# = ${fourOf(A, 'mine + a#')};`)}
    for (var j = 0u; j < min(lanes, k - start); j++) {
      let w = ${fourOf(B, '(start + j) * n4 + b0')};
${each(ROUND_ROWS / 4, '      let x# = subgroupShuffle(own#, j);')}
${Array.from({ length: ROUND_ROWS }, (_, i) => `      s${i} = fma(vec4f(x${Math.floor(i / 4)}.${'xyzw'[i % 4]}), w, s${i});`).join('\n')}
    }
  }`,
};

/** Every thread stages one vec4 of either operand, then takes 4 × 4 sums. */
function togetherMain(orientation: Orientation): string {
  const { left, right } = stagings(orientation, STRIDE, (to) => (at, value) => `${to}[${at}] = ${value};`);
  return `
  let across = (n + ${TILE - 1}u) / ${TILE}u;
  let top = block / across * ${TILE}u;
  let start = block % across * ${TILE}u;
  let row = thread / 16u * 4u;
  let column = thread % 16u * 4u;
  let part = thread;
${each(4, '  var s# = vec4f();')}
  for (var first = 0u; first < k; first += ${DEPTH}u) {
    {
${left}
    }
    {
${right}
    }
    workgroupBarrier();
    for (var i = 0u; i < turns(${DEPTH / 4}u); i++) {
      let x = 4u * i * ${STRIDE}u + row;
      let w = 4u * i * ${STRIDE}u + column;
${Array.from({ length: 4 }, (_, j) => depthStep(j)).join('\n')}
    }
    workgroupBarrier();
  }
${each(
  4,
  `  if (block < count && top + row + #u < m) {
    for (var j = 0u; j < 4u; j++) {
      if (start + column + j < n) { finish(top + row + #u, start + column + j, n, mode, alpha * s#[j]); }
    }
  }`,
)}`;
}

function depthStep(j: number): string {
  const at = `${j * STRIDE}u`;
  const w = [0, 1, 2, 3].map((c) => `right[w + ${at} + ${c}u]`).join(', ');
  return `      let w${j} = vec4f(${w});\n${each(4, `      s# = fma(vec4f(left[x + ${at} + #u]), w${j}, s#);`)}`;
}

export type ProductShape = {
  readonly orientation: Orientation;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly mode: ProductMode;
  readonly alpha: number;
};

/** The same in plain loops. // [m, n] */
export function productReference(
  { orientation, m, n, k, mode, alpha }: ProductShape,
  { a, b, addend, c }: { readonly [name in 'a' | 'b' | 'addend' | 'c']: Float32Array },
): Float32Array {
  const out = new Float32Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let i = 0; i < k; i++)
        sum +=
          a[orientation === 'tn' ? i * m + row : row * k + i] *
          b[orientation === 'nt' ? column * k + i : i * n + column];
      const at = row * n + column;
      const before = { replace: 0, add: c[at], plusMatrix: addend[at], plusRow: addend[column] }[mode];
      out[at] = alpha * sum + before;
    }
  }
  return out;
}
