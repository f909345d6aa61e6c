/**
 * First half of the head fused with sampling: products of hidden states with a tile of the vocabulary, which never leave
 * their workgroup. What does is a record per run of tokens and row: highest logit z and its token, Σe^(z-max),
 * Σ(z-max)e^(z-max) and Σe^(sharpness (z-max)), from which `draw.ts` takes token, log-prob and entropy. Where a step has rows
 * that cut their distribution off, the products of a window of rows are kept as well, for `draw-truncated.ts`.
 */
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type RowDraw } from '../step.ts';
import { formatFunctions, type WeightFormat } from '../weight-format.ts';
import { reads, writes } from '../wgsl.ts';
import type { MatrixPart } from './embed.ts';
import { productRows, tileCounts, tileFor, tileShared, tileWidth, writeProduct } from './product-loop.ts';

/** Tokens of a run, and numbers of its record. */
export const RUN = 32;
export const RECORD = 5;

/** Rows first … first + count - 1 of a step. */
export type RowWindow = { readonly first: number; readonly count: number };

/** Of so many rows, those in a window. */
export const rowsWithin = ({ first, count }: RowWindow, rows: number): number =>
  Math.max(0, Math.min(rows, first + count) - first);

export type HeadShape = {
  readonly columns: number;
  readonly vocab: number;
  /** Rows of the head that a call covers; `first` is a multiple of RUN. */
  readonly part: MatrixPart;
  /** How the head's weights lie. */
  readonly format: WeightFormat;
  /** Only these rows are computed, and their logits kept. */
  readonly kept?: RowWindow;
};

export const runsOf = (vocab: number): number => Math.ceil(vocab / RUN);

/** Bindings: step, x [rows, columns], w [part.count, columns], records [rows, runs, RECORD], and with a window all [kept.count, vocab]. */
export function headTilesKernel(shape: HeadShape, tuning: Tuning, rows: number): Kernel {
  const { columns, vocab, part, format, kept } = shape;
  // A tile holds whole runs: with few outputs a workgroup, fewer threads share each.
  const lanes = Math.min(tuning.lanes, (tuning.threads * tuning.outputs) / RUN);
  const product = { format, columns, outputs: part.count, matrices: 1, divisible: false };
  const usual = tileFor(tuning, rows, product);
  const tile = { ...usual, lanes, windows: kept ? 0 : usual.windows };
  const width = tileWidth(tile);
  if (width % RUN !== 0) throw new Error(`tiles of ${width} tokens hold no whole runs of ${RUN}`);
  return kernel(
    `head ${columns} to ${part.count}`,
    {
      bindings: [
        ...[STEP, productRows(tile, columns, 'vec4f'), reads('w', format.element), writes('records', 'f32')],
        ...(kept ? [writes('all', 'f32')] : []),
      ],
      counts: {
        ...tileCounts(tile, columns, format),
        ...{ FIRST: part.first, COUNT: part.count, RUN, RUNS: runsOf(vocab), RECORD, MOST: tile.rows },
        ...{ VOCAB: vocab, TOP: kept?.first ?? 0 },
      },
      shared: { ...tileShared(tile, ['w']), logits: width * tile.rows },
      threads: tile.threads,
      subgroups: tile.handRound > 0,
      functions: STEP_FUNCTIONS + formatFunctions(format) + RECORD_FUNCTION,
      main: `
  let rowCount = ${kept ? `min(stepRows(), ${kept.first + kept.count}u)` : 'stepRows()'};
  let firstRow = TOP + group.y * MOST;
${writeProduct({
  tile,
  format,
  weights: ['w'],
  limit: part.count,
  finish: (n, row, sum) =>
    `logits[(${row} - firstRow) * TILE + ${n} - group.x * TILE] = ${sum};${kept ? ` all[(${row} - TOP) * VOCAB + FIRST + ${n}] = ${sum};` : ''}`,
})}
  workgroupBarrier();
  let runs = TILE / RUN;
  for (var i = thread; i < runs * MOST; i += ${tile.threads}u) {
    let own = (i % runs) * RUN;
    let row = firstRow + i / runs;
    if (row < rowCount && group.x * TILE + own < COUNT) { record(row, (i / runs) * TILE + own, group.x * TILE + own); }
  }`,
    },
    (count) => [Math.ceil(part.count / width), Math.ceil((kept ? rowsWithin(kept, count) : count) / tile.rows)],
  );
}

/** `at`: where the run's logits stand in workgroup memory; `first`: its first token within the part. */
const RECORD_FUNCTION = `
fn record(row: u32, at: u32, first: u32) {
  let count = min(RUN, COUNT - first);
  var best = logits[at];
  var token = first;
  for (var j = 1u; j < count; j++) {
    if (logits[at + j] > best) { best = logits[at + j]; token = first + j; }
  }
  let sharpness = sharpnessOf(row);
  var mass = 0f;
  var weighted = 0f;
  var tempered = 0f;
  for (var j = 0u; j < count; j++) {
    let shifted = logits[at + j] - best;
    let weight = exp(shifted);
    mass += weight;
    weighted += shifted * weight;
    tempered += exp(sharpness * shifted);
  }
  let to = (row * RUNS + (FIRST + first) / RUN) * RECORD;
  records[to] = best;
  records[to + 1u] = f32(FIRST + token);
  records[to + 2u] = mass;
  records[to + 3u] = weighted;
  records[to + 4u] = tempered;
}`;

export type HeadInputs = {
  readonly draws: readonly RowDraw[];
  readonly x: Float32Array;
  readonly w: Float32Array;
  /** Records of other parts, kept. */
  readonly records: Float32Array;
};

export function headTilesReference({ columns, vocab, part }: HeadShape, inputs: HeadInputs): Float32Array {
  const out = inputs.records.slice();
  for (const [row, { sharpness }] of inputs.draws.entries()) {
    const logits = Array.from({ length: part.count }, (_, n) =>
      inputs.w
        .subarray(n * columns, (n + 1) * columns)
        .reduce((sum, value, k) => sum + value * inputs.x[row * columns + k], 0),
    );
    for (let first = 0; first < part.count; first += RUN) {
      const run = logits.slice(first, first + RUN);
      const best = Math.max(...run);
      const total = (of: (shifted: number) => number): number => run.reduce((sum, z) => sum + of(z - best), 0);
      out.set(
        [
          ...[best, part.first + first + run.indexOf(best), total(Math.exp)],
          ...[total((z) => z * Math.exp(z)), total((z) => Math.exp(sharpness * z))],
        ],
        (row * runsOf(vocab) + (part.first + first) / RUN) * RECORD,
      );
    }
  }
  return out;
}
