/**
 * One row into the middle of a tensor that stays where it is. This reaches below tfjs's public operations, into the
 * memory each backend keeps for a tensor; it must never be used on a tensor that a gradient tape has seen.
 */
import * as tf from '@tensorflow/tfjs';
import { hostView } from '../learn/host.ts';
import type { RowPositions } from './cache.ts';

/** What we use of the WebGPU backend; see tfjs-backend-webgpu, backend_webgpu.ts. */
type WebGpuBackend = {
  runWebGPUProgram(
    program: object,
    inputs: tf.TensorInfo[],
    dtype: string,
    uniforms: { type: string; data: number[] }[],
    output: tf.TensorInfo,
  ): tf.TensorInfo;
};

/**
 * target[row, positions[row], :] = rows[row, :], in place.
 * target: [rows, capacity, width], rows: anything of rows * width numbers in that order.
 */
export function writeRows(target: tf.Tensor3D, rows: tf.Tensor, positions: RowPositions): void {
  if (tf.getBackend() === 'webgpu') writeOnGpu(target, rows, positions.device!);
  else writeOnHost(target, rows, positions.host);
}

function writeOnHost(target: tf.Tensor3D, rows: tf.Tensor, positions: Int32Array): void {
  const [count, capacity, width] = target.shape;
  const to = hostView(target)!;
  const from = hostView(rows)!;
  for (let row = 0; row < count; row++) {
    const at = (row * capacity + positions[row]) * width;
    for (let i = 0; i < width; i++) to[at + i] = from[row * width + i];
  }
}

function writeOnGpu(target: tf.Tensor3D, rows: tf.Tensor, positions: tf.Tensor1D): void {
  const [count, capacity, width] = target.shape;
  const flat = { dataId: rows.dataId, shape: [count * width], dtype: rows.dtype } as tf.TensorInfo;
  const backend = tf.backend() as unknown as WebGpuBackend;
  const uniforms = [count * width, capacity, width].map((value) => ({ type: 'int32', data: [value] }));
  backend.runWebGPUProgram(scatterProgram(target.shape, count * width), [flat, positions], 'float32', uniforms, target);
}

const WORKGROUP = 64;

/** One thread per written number; only what is written is touched, the rest of the output keeps its values. */
function scatterProgram(outputShape: readonly number[], written: number): object {
  return {
    variableNames: ['rows', 'positions'],
    uniforms: 'written : i32, capacity : i32, width : i32,',
    outputShape,
    workgroupSize: [WORKGROUP, 1, 1],
    dispatchLayout: { x: [0] },
    dispatch: [Math.ceil(written / WORKGROUP), 1, 1],
    shaderKey: 'troupe-cache-write',
    getUserCode: () => `
      fn main(index : i32) {
        if (index < uniforms.written) {
          let row = index / uniforms.width;
          result[(row * uniforms.capacity + positions[row]) * uniforms.width + index % uniforms.width] = rows[index];
        }
      }`,
  };
}
