/** A short measurement of a device: the rate of a matrix product, which is what models spend their time on. */
import * as tf from '@tensorflow/tfjs';

const SIZE = 256;
const MEASURE_MS = 250;

export type Orientation = 'NN' | 'NT' | 'TN';

/** GFLOP/s of a 256×256 product on the active backend, the result read back; takes some 0.3 s once the backend is warm. */
export async function measureGflops(): Promise<number> {
  return measureProduct(SIZE, 'NN', MEASURE_MS);
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
