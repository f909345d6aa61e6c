/**
 * One pass over one batch of rows: what its steps share (kernels, tables of the rows, the adapter's matrices), the buffers
 * between them, and the steps that forward and backward have in common. Matrices between steps are tensors of
 * [capacity, columns], of which the batch's rows are used: the same few sizes for batches of any length. What flows between
 * kernels may be half floats; the residual stream, its gradient and all sums are floats.
 */
import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { weightOf } from '../model/linear.ts';
import type { ForwardWeights } from '../model/trunk.ts';
import { elementOf, type Activation } from './activation.ts';
import type { Bound, Gpu } from './gpu.ts';
import type { Orientation, ProductMode } from './kernels/product-tiles.ts';
import type { MatrixPart } from './kernels/embed.ts';
import type { PackedRows } from './packed-rows.ts';
import { recordProduct, type ProductSize } from './record-product.ts';
import type { Recorder } from './recorder.ts';
import type { TrainingKernels } from './training-kernels.ts';

/** An adapter's pair with its rank filled up to a multiple of 4. */
export type Pair = { readonly rank: number; readonly a: tf.Tensor; readonly b: tf.Tensor }; // a [rank, in], b [out, rank]

/** Tables of the rows on the device. */
export type RowTables = Readonly<
  Record<'ids' | 'positions' | 'queryTiles' | 'keyTiles' | 'picks' | 'places', tf.Tensor>
>;

export type Frame = {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly kernels: TrainingKernels;
  /** How what flows between kernels lies in memory. */
  readonly flow: Activation;
  /** What the gradient that enters is multiplied by; those of parameters are divided by it. */
  readonly lossScale: number;
  readonly config: ModelConfig;
  readonly using: ForwardWeights;
  readonly pairs: ReadonlyMap<string, Pair>;
  readonly rows: PackedRows;
  readonly tables: RowTables;
  /** cos and sin by turns. // [positions, headDim / 2, 2] */
  readonly rope: tf.Tensor;
  /** At least as many rows as there are. */
  readonly capacity: number;
};

/** A matrix for the rows of this and later batches, with no particular values. */
export function matrix(frame: Frame, columns: number): tf.Tensor {
  const { gpu, capacity, flow } = frame;
  // Halves lie two to a number; the capacity is even.
  return flow.bytes === 2 ? gpu.allocate([(capacity / 2) * columns], 'int32') : floats(frame, columns);
}

/** The same of floats, whatever flows: a part of the residual stream, or sums. */
export function floats({ gpu, capacity }: Frame, columns: number): tf.Tensor {
  return gpu.allocate([capacity * columns]);
}

export function weight({ using }: Frame, name: string): tf.Tensor {
  return weightOf(using.weights, `${name}.weight`);
}

/** c = alpha · op(a) op(b), and what `mode` says. */
export function product(
  { gpu, recorder, kernels }: Frame,
  orientation: Orientation,
  size: ProductSize,
  [a, b, c]: readonly [tf.Tensor, tf.Tensor, tf.Tensor],
  mode: ProductMode = 'replace',
  addend: tf.Tensor | null = null,
): void {
  const operands = [gpu.bufferOf(a), gpu.bufferOf(b), gpu.bufferOf(c)] as const;
  const elements = { a: elementOf(a), b: elementOf(b), c: elementOf(c) };
  recordProduct(
    recorder,
    kernels.products,
    orientation,
    size,
    operands,
    mode,
    addend && gpu.bufferOf(addend),
    elements,
  );
}

export type Normed = { readonly y: tf.Tensor; readonly scale: tf.Tensor };

/** `rows` rows of the named weight's length, normed into `y` or a matrix of its own. */
export function norm(frame: Frame, x: tf.Tensor, rows: number, name: string, into?: tf.Tensor): Normed {
  const { gpu, recorder, kernels, capacity } = frame;
  const columns = weight(frame, name).size;
  const perRow = Math.ceil(rows / capacity);
  const y = into ?? matrix(frame, perRow * columns);
  const scale = floats(frame, perRow);
  recorder.add(kernels.norm(x, y), rows, { c4: columns / 4 }, [
    ...[gpu.bufferOf(x), gpu.bufferOf(weight(frame, name)), gpu.bufferOf(y), gpu.bufferOf(scale)],
  ]);
  return { y, scale };
}

/** Turns all heads of all rows to their positions, or back. */
export function rotate(
  { gpu, recorder, kernels, config, rows, tables, rope }: Frame,
  x: tf.Tensor,
  heads: number,
  sign: 1 | -1,
): void {
  recorder.add(kernels.rotate, (rows.count * heads * config.headDim) / 2, { heads, sign }, [
    ...[gpu.bufferOf(tables.positions), gpu.bufferOf(rope), gpu.bufferOf(x)],
  ]);
}

/** The rows of x that a table names, zeros where it names none; x is as large as a frame's, or given in `parts`. // [count, columns] */
export function take(
  frame: Frame,
  table: tf.Tensor,
  count: number,
  x: tf.Tensor,
  columns: number,
  parts?: readonly { readonly part: MatrixPart; readonly bound: Bound }[],
): tf.Tensor {
  const { gpu, recorder, kernels, capacity } = frame;
  const y = elementOf(x).bytes === 4 ? floats(frame, columns) : matrix(frame, columns);
  for (const { part, bound } of parts ?? [{ part: { first: 0, count: capacity }, bound: gpu.bufferOf(x) }])
    recorder.add(kernels.take(x), (count * columns) / 4, { c4: columns / 4, first: part.first, held: part.count }, [
      ...[gpu.bufferOf(table), bound, gpu.bufferOf(y)],
    ]);
  return y;
}

export function swiglu(frame: Frame, gate: tf.Tensor, up: tf.Tensor, rows: number): tf.Tensor {
  const { gpu, recorder, kernels, config } = frame;
  const y = matrix(frame, config.intermediate);
  recorder.add(
    kernels.swiglu,
    (rows * config.intermediate) / 4,
    {},
    [gate, up, y].map((x) => gpu.bufferOf(x)),
  );
  return y;
}

/** x Wᵀ, its bias, its low-rank addition, and on top of a part of the residual stream if one is given. // [rows, out] */
export function linear(
  frame: Frame,
  x: tf.Tensor,
  rows: number,
  name: string,
  onto: tf.Tensor | null = null,
): tf.Tensor {
  const { using, pairs } = frame;
  const w = weight(frame, name);
  const [out, columns] = w.shape as [number, number];
  const y = onto ? floats(frame, out) : matrix(frame, out);
  const bias = using.weights[`${name}.bias`] ?? null;
  if (bias && onto) throw new Error(`${name} has a bias and a residual`);
  const mode = onto ? 'plusMatrix' : bias ? 'plusRow' : 'replace';
  product(frame, 'nt', { m: rows, n: out, k: columns }, [x, w, y], mode, onto ?? bias);
  const pair = pairs.get(name);
  if (!pair) return y;
  const u = lowRows(frame, x, rows, columns, pair);
  product(frame, 'nt', { m: rows, n: out, k: pair.rank }, [u, pair.b, y], 'add');
  u.dispose();
  return y;
}

/** u = scale · x Aᵀ, as floats. // [rows, rank] */
export function lowRows(frame: Frame, x: tf.Tensor, rows: number, columns: number, { rank, a }: Pair): tf.Tensor {
  const u = floats(frame, rank);
  product(frame, 'nt', { m: rows, n: rank, k: columns, alpha: frame.using.adapter!.scale }, [x, a, u]);
  return u;
}
