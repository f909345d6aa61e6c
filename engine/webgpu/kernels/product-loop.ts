/**
 * The inner loop all products of a few rows with a weight matrix share: a thread takes `outputs` weight rows against
 * `rows` token rows, four columns at a time; with more than one lane, threads share a sum and add their parts in order. With
 * one lane the order is the same whatever the tile, and so is every bit. What becomes of a sum is its kernel's own affair.
 */
import { activationOf } from '../activation.ts';
import type { ProductCut, ProductShape, Rows, Tuning } from '../kernel.ts';
import { BLOCK4, formatCounts, fourAt, scaleAt, type WeightFormat } from '../weight-format.ts';
import { each, inWindows, reads, type Binding, type Element, type Shader } from '../wgsl.ts';
import { STAGED, STAGED_THREADS, stagedShared, writeStaged } from './product-staged.ts';
import { normed, rowScales } from './rms-norm.ts';

export type Tile = Pick<Tuning, 'lanes' | 'outputs' | 'threads' | 'handRound'> & {
  /** Token rows a thread takes, or a workgroup that stages them. */
  readonly rows: number;
  readonly staged: boolean;
  /** Parts in which all rows are read as uniforms, one for every load of a thread; 0: as storage. */
  readonly windows: number;
};

/** Bytes of a window on any device. */
const WINDOW_BYTES = 65536;
/** Its beginning is a multiple of so many. */
const WINDOW_ALIGNMENT = 256;

/** Outputs of a workgroup. */
export const tileWidth = ({ threads, lanes, outputs, staged }: Tile): number =>
  staged ? STAGED : (threads / lanes) * outputs;

/** The cut for so many rows where none was measured: all of them at once, up to what the adapter likes. */
export function usualCut({ outputs, rows }: Tuning, count: number, matrices: number): ProductCut {
  // Several sums an output: fewer outputs keep as many numbers in registers.
  return {
    rows: rows.find((own) => own >= count) ?? rows[rows.length - 1],
    outputs: Math.max(1, outputs / matrices),
  };
}

export function tileFor(tuning: Tuning, count: Rows, product: ProductShape): Tile {
  const { lanes, outputs, threads, handRound, measured } = tuning;
  if (count === 'prompts')
    return { lanes: 1, outputs, threads: STAGED_THREADS, handRound: 0, rows: STAGED, staged: true, windows: 0 };
  const cut = measured?.(product, count) ?? usualCut(tuning, count, product.matrices);
  const tile = { lanes, threads, handRound, ...cut, staged: false };
  const bytes = 4 * handRound * product.columns;
  const fits = bytes <= WINDOW_BYTES && bytes % WINDOW_ALIGNMENT === 0 && tuning.activations === 'f32';
  return { ...tile, windows: ownRows(tile) && count <= tile.rows && fits ? tile.rows / handRound : 0 };
}

/** Rows of x [rows, columns]. An emulating adapter loads a number of a uniform buffer with three instructions, of storage with eight. */
export const productRows = ({ windows, handRound }: Tile, columns: number, four: Element): Binding =>
  windows > 0 ? inWindows('x', windows, (handRound * columns) / 4) : reads('x', four);

/** Constants of the loop. Columns are read four at a time. */
export function tileCounts(tile: Tile, columns: number, format: WeightFormat): Record<string, number> {
  if (columns % 4 !== 0) throw new Error(`products run over multiples of 4 columns, not ${columns}`);
  return {
    ...{ K4: columns / 4, LANES: tile.lanes, PLACES: tile.threads / tile.lanes, TILE: tileWidth(tile) },
    ...formatCounts(format, columns),
  };
}

/** Workgroup memory of the loop: every thread's part of every sum, where sums are shared. */
export function tileShared(tile: Tile, weights: readonly string[]): Record<string, number> {
  if (tile.staged) return stagedShared(weights);
  return tile.lanes > 1 ? { parts: weights.length * tile.outputs * tile.rows * stride(tile) } : {};
}

/** How a product reads x, and what its shader holds for that. */
export type ProductInput = Required<Pick<Shader, 'numbers' | 'shared'>> & {
  readonly bindings: readonly Binding[];
  /** Threads that share the squares of a row, where it is normalised first; else null. */
  readonly normTeam: number | null;
};

/**
 * x as it comes, or with an `eps` normalised first, by a weight `gain`. Not with half floats between kernels: a driver may
 * leave out a rounding to one that nothing stores, and the bits would be others than after a norm's own kernel.
 */
export function productInput(
  eps: number | undefined,
  columns: number,
  tile: Tile,
  { team, activations }: Pick<Tuning, 'team' | 'activations'>,
): ProductInput {
  if (eps === undefined)
    return {
      bindings: [productRows(tile, columns, activationOf(activations).four)],
      ...{ numbers: {}, shared: {}, normTeam: null },
    };
  if (tile.staged || tile.handRound > 0 || tile.threads < team || activations !== 'f32')
    throw new Error('products normalise float32 rows that threads share, and no others');
  return {
    bindings: [reads('x', 'vec4f'), reads('gain', 'vec4f')],
    numbers: { COLUMNS: columns, EPS: eps },
    shared: { squares: tile.rows * team },
    normTeam: team,
  };
}

/** One more than there are threads, so that threads adding up neighbouring sums read different banks. */
const stride = ({ threads }: Tile): number => threads + 1;

export type Product = {
  readonly tile: Tile;
  readonly format: WeightFormat;
  /** Bindings of matrices [limit, K] that are multiplied at once; a sum of each for every output. */
  readonly weights: readonly string[];
  readonly limit: number;
  /** Normalises x first. */
  readonly normTeam?: number | null;
  /** The statement that takes the sums of output `n` and token row `row`, all given as expressions. */
  finish(n: string, row: string, ...sums: readonly string[]): string;
};

/**
 * Multiplies x [rows, K], four to an element, with the weights. The workgroup is tile `group.x` of the outputs and takes rows from
 * `firstRow` on, of `rowCount`. Beyond the end the last row is computed again, to be thrown away.
 */
export function writeProduct(product: Product): string {
  if (product.tile.staged) return writeStaged(product);
  const { limit } = product;
  const { lanes, outputs } = product.tile;
  const sums = sumsOf(product);
  return `
  let part = ${lanes > 1 ? 'thread % LANES' : '0u'};
  let place = thread / LANES;
  let first = group.x * TILE + place;
${each(outputs, `  let n# = min(first + #u * PLACES, ${limit - 1}u);\n  let at# = n# * ROW;`)}
${inputs(product.tile)}
${product.normTeam ? rowScales(product.tile.rows, product.normTeam, 'K4') : ''}
${sums.map(({ name }) => `  var ${name} = 0f;`).join('\n')}
  let columns = turns(K4);
${loop(product)}
${lanes > 1 ? finishTogether(product) : finishAlone(product)}`;
}

/** Whether every thread of a vector loads rows of its own, which then are handed round: a load brings as many rows as there are threads. */
const ownRows = ({ handRound, rows }: Pick<Tile, 'handRound' | 'rows'>): boolean =>
  handRound > 0 && rows % handRound === 0;

/** Where the rows begin that a thread loads. */
function inputs(tile: Tile): string {
  const { rows, handRound, windows } = tile;
  if (windows > 0) return '  let x0 = lane * K4;';
  if (!ownRows(tile)) return each(rows, '  let x# = min(firstRow + #u, rowCount - 1u) * K4;');
  return each(rows / handRound, `  let x# = min(firstRow + #u * ${handRound}u + lane, rowCount - 1u) * K4;`);
}

function loop(product: Product): string {
  const { tile, format } = product;
  if (tile.handRound > 0 && !ownRows(tile)) return loopHandingRound(product);
  return format.blocked && tile.lanes === 1 ? loopByBlock(product) : loopAlone(product);
}

function loopAlone(product: Product): string {
  return `
  for (var k = part; k < columns; k += LANES) {
${scales(product, 'k')}
${addColumn(product)}
  }`;
}

/** A thread that takes all columns reads each scale once. */
function loopByBlock(product: Product): string {
  return `
  for (var start = 0u; start < columns; start += ${BLOCK4}u) {
${scales(product, 'start')}
    for (var k = start; k < min(start + ${BLOCK4}u, columns); k++) {
${addColumn(product)}
    }
  }`;
}

/** Column k of all rows and weights. */
function addColumn(product: Product): string {
  const { tile, normTeam } = product;
  const { rows, handRound, windows } = tile;
  if (normTeam) {
    const four = (row: number): string => normed(row, `x${row} + k`, 'weight');
    return `    let weight = gain[k];\n${addProducts(product, four)}`;
  }
  if (!ownRows(tile)) return addProducts(product, (row) => `vec4f(x[x${row} + k])`);
  return `${each(rows / handRound, windows > 0 ? '    let own# = x_#[x0 + k];' : '    let own# = vec4f(x[x# + k]);')}
${addProducts(product, (row) => `subgroupBroadcast(own${Math.floor(row / handRound)}, ${row % handRound}u)`)}`;
}

/** With fewer rows than threads, each loads some columns of all rows and hands them round. They take the same columns, so one lane. */
function loopHandingRound(product: Product): string {
  const { tile, format } = product;
  // A subgroup has at least as many threads as a block has fours.
  const stretch = format.blocked ? `${BLOCK4}u` : 'lanes';
  return `
  for (var start = 0u; start < columns; start += ${stretch}) {
    let mine = min(start + lane, K4 - 1u);
${scales(product, 'start')}
${each(tile.rows, '    let own# = vec4f(x[x# + mine]);')}
    for (var j = 0u; j < min(${stretch}, columns - start); j++) {
      let k = start + j;
${addProducts(product, (row) => `subgroupShuffle(own${row}, j)`)}
    }
  }`;
}

/** Scales of the block of four `k`, where there are any. */
function scales({ format, weights, tile, limit }: Product, k: string): string {
  if (!format.blocked) return '';
  return weights.map((w) => each(tile.outputs, `    let ${w}_scale# = ${scaleAt(w, limit, 'n#', k)};`)).join('\n');
}

/** Column k of the weights times that of each row: row by row, so that no more than one is held at a time. */
function addProducts(product: Product, rowFour: (row: number) => string): string {
  const { weights, tile, format } = product;
  const four = (w: string): string => fourAt(format, w, 'at#', 'k', `${w}_scale#`);
  const sums = sumsOf(product);
  const row = (m: number): string =>
    [
      `    let v${m} = ${rowFour(m)};`,
      ...sums.filter((sum) => sum.m === m).map(({ name, w, r }) => `    ${name} += dot(${w}_${r}, v${m});`),
    ].join('\n');
  return [
    ...weights.map((w) => each(tile.outputs, `    let ${w}_# = ${four(w)};`)),
    ...Array.from({ length: tile.rows }, (_, m) => row(m)),
  ].join('\n');
}

type Sum = { readonly name: string; readonly w: string; readonly r: number; readonly m: number };

/** Every sum of a thread: by matrix, then output, then row. */
function sumsOf({ tile: { outputs, rows }, weights }: Product): Sum[] {
  return weights.flatMap((w) =>
    Array.from({ length: outputs * rows }, (_, i) => {
      const [r, m] = [Math.floor(i / rows), i % rows];
      return { name: `${w}_${r}_${m}`, w, r, m };
    }),
  );
}

/**
 * Loops over the rows and outputs there are: what follows a sum is compiled once and not for every sum, which matters on
 * drivers whose compile time grows with the square of a program's branches. Nothing is shared, so nothing waits.
 */
function finishAlone(product: Product): string {
  const { tile, weights, limit, finish } = product;
  const { outputs, rows } = tile;
  const arrays = weights.map((w) => {
    const names = sumsOf(product).filter((sum) => sum.w === w).map(({ name }) => name); // prettier-ignore
    return `  var ${w}_sums = array<f32, ${names.length}>(${names.join(', ')});`;
  });
  return `${arrays.join('\n')}
  let rowsHere = min(${rows}u, rowCount - firstRow);
  var r = 0u;
  for (var n = first; n < ${limit}u && r < ${outputs}u; n += PLACES) {
    for (var m = 0u; m < rowsHere; m++) {
      ${finish('n', '(firstRow + m)', ...weights.map((w) => `${w}_sums[r * ${rows}u + m]`))}
    }
    r++;
  }`;
}

/** With the parts of all threads in workgroup memory, each output is added up by one thread. */
function finishTogether(product: Product): string {
  const { tile, weights, limit, finish } = product;
  const { outputs, rows, threads } = tile;
  const size = outputs * rows;
  const keep = sumsOf(product).map(({ name }, i) => `  parts[${i * stride(tile)}u + thread] = ${name};`);
  const add = weights.map((_, i) => `sum${i} += parts[at + ${i * size * stride(tile)}u + j];`).join(' ');
  return `${keep.join('\n')}
  workgroupBarrier();
  for (var o = thread; o < ${size}u * PLACES; o += ${threads}u) {
    let which = o / PLACES;
    let n = group.x * TILE + (which / ${rows}u) * PLACES + o % PLACES;
    let row = firstRow + which % ${rows}u;
    let at = which * ${stride(tile)}u + (o % PLACES) * LANES;
${each(weights.length, '    var sum# = 0f;')}
    for (var j = 0u; j < LANES; j++) { ${add} }
    if (n < ${limit}u && row < rowCount) { ${finish('n', 'row', ...weights.map((_, i) => `sum${i}`))} }
  }`;
}
