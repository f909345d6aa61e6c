/**
 * One row, or the first rows, into the middle of a tensor that stays where it is. This reaches below tfjs's public operations, into the
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

/**
 * target[rows[i], 0 … length-1, :] = blocks[i, :, :], in place.
 * target: [all rows, capacity, width], blocks: [rows.length, length, width].
 */
export function writeBlocks(target: tf.Tensor3D, blocks: tf.Tensor3D, rows: Int32Array): void {
  const [, capacity, width] = target.shape;
  const block = blocks.shape[1] * width;
  if (tf.getBackend() !== 'webgpu') {
    const to = hostView(target)!;
    const from = hostView(blocks)!;
    rows.forEach((row, i) => to.set(from.subarray(i * block, (i + 1) * block), row * capacity * width));
    return;
  }
  const backend = tf.backend() as unknown as WebGpuBackend;
  const uniforms = [blocks.size, block, capacity * width].map((value) => ({ type: 'int32', data: [value] }));
  const places = tf.tensor1d(rows, 'int32');
  backend.runWebGPUProgram(blocksProgram(target.shape, blocks.size), [blocks, places], 'float32', uniforms, target);
  places.dispose();
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

function blocksProgram(outputShape: readonly number[], written: number): object {
  return {
    variableNames: ['blocks', 'rows'],
    uniforms: 'written : i32, block : i32, stride : i32,',
    outputShape,
    workgroupSize: [WORKGROUP, 1, 1],
    dispatchLayout: { x: [0] },
    dispatch: gridOf(Math.ceil(written / WORKGROUP)),
    shaderKey: 'troupe-cache-blocks',
    getUserCode: () => `
      fn main(index : i32) {
        if (index < uniforms.written) {
          result[rows[index / uniforms.block] * uniforms.stride + index % uniforms.block] = blocks[index];
        }
      }`,
  };
}

const MOST_GROUPS = 65_535;

/** Workgroups along x and y: more than a dimension holds wrap around. */
function gridOf(groups: number): [x: number, y: number, z: number] {
  return [Math.min(groups, MOST_GROUPS), Math.ceil(groups / MOST_GROUPS), 1];
}
