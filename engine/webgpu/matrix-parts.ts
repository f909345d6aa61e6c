/** Matrices larger than a device lets one binding be, in parts of whole rows: the embedding, which is also the head. */
import type * as tf from '@tensorflow/tfjs';
import type { Gpu } from './gpu.ts';
import type { MatrixPart } from './kernels/embed.ts';

/** Rows per part are a multiple of this, so that every part starts at a multiple of 256 bytes. */
const ROW_STEP = 64;

export function matrixParts(rows: number, columns: number, maxBytes: number): MatrixPart[] {
  const most = Math.floor(maxBytes / (columns * 4));
  if (rows <= most) return [{ first: 0, count: rows }];
  const size = Math.floor(most / ROW_STEP) * ROW_STEP;
  if (size === 0) throw new Error(`${ROW_STEP} rows of ${columns} numbers exceed a binding of ${maxBytes} bytes`);
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => ({
    first: i * size,
    count: Math.min(size, rows - i * size),
  }));
}

/** matrix: [rows, columns] float32. */
export function bindParts(
  gpu: Gpu,
  matrix: tf.Tensor,
  columns: number,
): { readonly part: MatrixPart; readonly bound: GPUBufferBinding }[] {
  const buffer = gpu.bufferOf(matrix);
  return matrixParts(matrix.size / columns, columns, gpu.device.limits.maxStorageBufferBindingSize).map((part) => ({
    part,
    bound: { buffer, offset: part.first * columns * 4, size: part.count * columns * 4 },
  }));
}
