/**
 * An adapter's matrices as the product kernels want them: those of layers that share an input stand on one another, ranks
 * filled up to a multiple of 4. A layer without an adapter among others that have one gets zeros.
 */
import * as tf from '@tensorflow/tfjs';
import type { Adapter } from '../model/trunk.ts';
import type { Gpu } from './gpu.ts';

export type LowRank = {
  readonly rank: number;
  readonly scale: number;
  /** Layers that stand on one another. */
  readonly parts: number;
  readonly a: tf.Tensor1D; // [parts, rank, in]
  readonly b: tf.Tensor1D; // [sum of out, rank]
};

/** `outputs` of each named layer, whose inputs are all `columns` wide. Null where none has an adapter. */
export function packLowRank(
  gpu: Gpu,
  adapter: Adapter | null,
  layers: readonly { readonly name: string; readonly outputs: number }[],
  columns: number,
): LowRank | null {
  const pairs = layers.map(({ name }) => adapter?.layers[name]);
  const widest = pairs.reduce((most, pair) => Math.max(most, pair?.a.shape[0] ?? 0), 0);
  if (adapter === null || widest === 0) return null;
  const rank = Math.ceil(widest / 4) * 4;
  return tf.tidy(() => ({
    ...{ rank, scale: adapter.scale, parts: layers.length },
    a: tf.keep(
      gpu.concat(pairs.flatMap((pair) => (pair ? [pair.a, (rank - pair.a.shape[0]) * columns] : [rank * columns]))),
    ),
    b: tf.keep(gpu.concat(pairs.map((pair, i) => (pair ? widened(pair.b, rank) : layers[i].outputs * rank)))),
  }));
}

/** Zeros behind the columns there are. */
function widened(x: tf.Tensor2D, columns: number): tf.Tensor2D {
  if (x.shape[1] === columns) return x;
  return tf.pad2d(x, [
    [0, 0],
    [0, columns - x.shape[1]],
  ]);
}
