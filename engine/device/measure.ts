/**
 * A short measurement of a device: the rate of a matrix product, which is what training and prompts spend their time on, and
 * of copying memory, which bounds decoding.
 */
import * as tf from '@tensorflow/tfjs';
import { activeGpu } from '../webgpu/gpu.ts';
import { matrixNote } from '../webgpu/matrix-check.ts';
import { copyRate, productRate } from '../webgpu/measure.ts';

const SIZE = 256;
const MEASURE_MS = 250;

export type Orientation = 'NN' | 'NT' | 'TN';

export type Rates = {
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** Of a GPU with matrix units: whether products use them, and why. */
  readonly matrices: string | null;
};

/** Of the active backend, by the kernels models run on there; takes half a second once the backend is warm. */
export async function measureRates(): Promise<Rates> {
  if (tf.getBackend() === 'webgpu') {
    const gpu = activeGpu();
    const matrices = matrixNote(gpu);
    return { gflops: await productRate(gpu), gigabytesPerSecond: await copyRate(gpu), matrices };
  }
  return { gflops: await measureProduct(SIZE, 'NN', MEASURE_MS), gigabytesPerSecond: hostCopyRate(), matrices: null };
}

const COPIED_BYTES = 64 * 2 ** 20;

/** One thread, between arrays larger than most caches. */
function hostCopyRate(): number {
  const [from, to] = [new Float32Array(COPIED_BYTES / 4), new Float32Array(COPIED_BYTES / 4)];
  to.set(from); // brings the pages
  let fastest = Infinity;
  const end = performance.now() + MEASURE_MS / 2;
  do {
    const start = performance.now();
    to.set(from);
    fastest = Math.min(fastest, performance.now() - start);
  } while (performance.now() < end);
  return (2 * COPIED_BYTES) / Math.max(fastest, 1e-3) / 1e6;
}

/**
 * GFLOP/s of an n × n product on the active backend, its fastest run within `milliseconds`. N is an operand as it lies, T a
 * transposed one: forward passes multiply NT (weights lie [out, in]), gradients NN and TN.
 */
export async function measureProduct(n: number, orientation: Orientation, milliseconds: number): Promise<number> {
  const a = tf.randomNormal([n, n], 0, 1, 'float32', 1);
  const b = tf.randomNormal([n, n], 0, 1, 'float32', 2);
  const multiply = async (): Promise<void> => {
    const c = tf.matMul(a, b, orientation === 'TN', orientation === 'NT');
    if (tf.getBackend() === 'webgpu') await c.data(); // nothing else waits for a GPU
    c.dispose();
  };
  await multiply(); // compiles
  let fastest = Infinity;
  const end = performance.now() + milliseconds;
  do {
    const start = performance.now();
    await multiply();
    fastest = Math.min(fastest, performance.now() - start);
  } while (performance.now() < end);
  tf.dispose([a, b]);
  return (2 * n ** 3) / Math.max(fastest, 1e-3) / 1e6;
}
