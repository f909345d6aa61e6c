/** For tests of kernels that read weights: random matrices in a format, packed on the device, and what they stand for. */
import * as tf from '@tensorflow/tfjs';
import { activeGpu } from '../gpu.ts';
import { Recorder } from '../recorder.ts';
import { cutFor } from '../sized-kernel.ts';
import { largestDifference, someNumbers } from '../testing.ts';
import { formatOf, packedWords, rowBlocks, type WeightFormat } from '../weight-format.ts';
import { packKernel, unpackedReference } from './pack-weights.ts';

export const PRECISIONS = ['f32', 'f16', 'q8', 'q4'] as const;

export type SomePacked = {
  readonly format: WeightFormat;
  /** As the kernel's binding takes it. */
  readonly bound: Float32Array | Int32Array;
  /** What it stands for. */
  readonly values: Float32Array;
};

export async function somePacked(
  precision: (typeof PRECISIONS)[number],
  rows: number,
  columns: number,
  seed: number,
): Promise<SomePacked> {
  const w = someNumbers(rows * columns, seed);
  const format = formatOf(precision);
  if (precision === 'f32') return { format, bound: w, values: w };
  const words = await packed(precision, [w], columns);
  const values = unpackedReference(precision, words, rows, columns);
  const off = largestDifference(values, w);
  if (!(off < 0.13)) throw new Error(`packed to ${precision} the matrix is ${off} away from itself`);
  return { format, bound: new Int32Array(words.buffer), values };
}

/** Matrices of `columns` columns packed on one another. */
export async function packed(
  precision: 'f16' | 'q8' | 'q4',
  matrices: readonly Float32Array[],
  columns: number,
): Promise<Uint32Array<ArrayBuffer>> {
  const gpu = activeGpu();
  const recorder = new Recorder(gpu);
  const tensors = matrices.map((w) => tf.tensor1d(w));
  const blocks = rowBlocks(columns);
  const rows = matrices.reduce((sum, w) => sum + w.length / columns, 0);
  const to = gpu.allocate([packedWords(formatOf(precision), rows, columns)], 'int32');
  for (const tensor of tensors) gpu.bufferOf(tensor);
  let first = 0;
  for (const tensor of tensors) {
    const own = tensor.size / columns;
    const sizes = { k4: columns / 4, blocks, first, rows };
    const buffers = [gpu.bufferOf(tensor), gpu.bufferOf(to)];
    recorder.add(packKernel(precision, cutFor(gpu)), own * blocks, sizes, buffers);
    first += own;
  }
  recorder.submit();
  const words = new Uint32Array(((await to.data()) as Int32Array).slice().buffer);
  tf.dispose([...tensors, to]);
  recorder.dispose();
  return words;
}
