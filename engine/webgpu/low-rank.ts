/**
 * Adapters' matrices as the product kernels want them: those of layers that share an input stand on one another, ranks
 * filled up to a multiple of 4, and those of different adapters stand on one another again, so that every row of a step can
 * have its own. What an adapter or a layer lacks among others that have it is zeros. The scale is multiplied into A.
 */
import * as tf from '@tensorflow/tfjs';
import type { Adapter } from '../model/trunk.ts';
import type { Gpu } from './gpu.ts';

export type LowRank = {
  readonly rank: number;
  readonly adapters: number;
  /** Layers that stand on one another. */
  readonly parts: number;
  readonly a: tf.Tensor1D; // [adapters, parts, rank, in]
  readonly b: tf.Tensor1D; // [adapters, sum of out, rank]
};

/** `outputs` of each named layer, whose inputs are all `columns` wide. Null where no adapter has any of them. */
export function packLowRank(
  gpu: Gpu,
  adapters: readonly Adapter[],
  layers: readonly { readonly name: string; readonly outputs: number }[],
  columns: number,
): LowRank | null {
  const all = adapters.flatMap(({ scale, layers: own }) =>
    layers.map(({ name, outputs }) => ({ scale, outputs, pair: own[name] })),
  );
  const widest = all.reduce((most, { pair }) => Math.max(most, pair?.a.shape[0] ?? 0), 0);
  if (widest === 0) return null;
  const rank = Math.ceil(widest / 4) * 4;
  return tf.tidy(() => ({
    ...{ rank, adapters: adapters.length, parts: layers.length },
    a: tf.keep(
      gpu.concat(
        all.flatMap(({ scale, pair }) =>
          pair ? [tf.mul(pair.a, scale), (rank - pair.a.shape[0]) * columns] : [rank * columns],
        ),
      ),
    ),
    b: tf.keep(gpu.concat(all.map(({ outputs, pair }) => (pair ? widened(pair.b, rank) : outputs * rank)))),
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
