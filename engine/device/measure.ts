/** A short measurement of a device: the rate of a matrix product, which is what models spend their time on. */
import type { Tf } from './device.ts';

const SIZE = 256;
const MEASURE_MS = 250;

/** GFLOP/s of a 256×256 product on the active backend, the result read back; takes some 0.3 s once the backend is warm. */
export async function measureGflops(tf: Tf): Promise<number> {
  const a = tf.randomNormal([SIZE, SIZE], 0, 1, 'float32', 1);
  const b = tf.randomNormal([SIZE, SIZE], 0, 1, 'float32', 2);
  const multiply = async (): Promise<void> => {
    const c = tf.matMul(a, b);
    await c.data();
    c.dispose();
  };
  await multiply(); // compiles
  let fastest = Infinity;
  const end = performance.now() + MEASURE_MS;
  do {
    const start = performance.now();
    await multiply();
    fastest = Math.min(fastest, performance.now() - start);
  } while (performance.now() < end);
  tf.dispose([a, b]);
  return (2 * SIZE ** 3) / Math.max(fastest, 1e-3) / 1e6;
}
