/** For tests of kernels: numbers from a seed, one dispatch over plain arrays, and the largest difference. */
import * as tf from '@tensorflow/tfjs';
import { halfTable } from '../formats/half.ts';
import { activeGpu } from './gpu.ts';
import type { Kernel } from './kernel.ts';
import { operand, Recorder } from './recorder.ts';
import type { SizedKernel } from './sized-kernel.ts';
import { PAGE, pagesFor } from './page-pool.ts';
import { wholeStep, type RowDraw, type StepRow } from './step.ts';

type Numbers = Float32Array | Int32Array;

/** Numbers within ±scale, the same for the same seed. */
export function someNumbers(size: number, seed: number, scale = 1): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => scale * Math.sin((i + 1) * 12.9898 + seed * 78.233));
}

/** Rows with slots and positions that fit a cache; where there are adapters, every third row has none. */
export function someRows(count: number, slots: number, capacity: number, adapters = 0): StepRow[] {
  return Array.from({ length: count }, (_, i) => ({
    slot: (i * 5 + 1) % slots,
    position: (i * 7 + 3) % capacity,
    out: i % 3 === 1 ? null : i,
    adapter: adapters === 0 || i % 3 === 2 ? null : i % adapters,
  }));
}

/** Of every slot the pages of `capacity` positions, no two of them neighbours, and how many pages there are. */
export function somePages(slots: number, capacity: number): { readonly pages: number[][]; readonly count: number } {
  const width = pagesFor(capacity);
  const pages = Array.from({ length: slots }, (_, slot) =>
    Array.from({ length: width }, (__, nth) => 1 + nth * slots + ((slot + nth) % slots)),
  );
  return { pages, count: 1 + slots * width };
}

/**
 * Runs a kernel over these rows. `inputs` stand in the order of its bindings after the step buffer, unless the kernel has
 * none; the numbers of those it writes come back, by name.
 */
export async function runKernel(
  kernel: Kernel,
  inputs: Readonly<Record<string, Numbers>>,
  rows: readonly StepRow[],
  draws: readonly RowDraw[] = [],
  pages: readonly (readonly number[])[] = [],
): Promise<Record<string, Float32Array>> {
  const gpu = activeGpu();
  const placed = rows.map((row) => ({ ...row, page: pages[row.slot]?.[Math.floor(row.position / PAGE)] }));
  const tensors = kernel.bindings.map(({ name, windows }) => {
    if (name === 'step') return tf.tensor1d(wholeStep(placed, draws, pages), 'int32');
    const values = inputs[name];
    if (!values) throw new Error(`no values for the binding ${name}`);
    const tensor = tf.tensor1d(values, values instanceof Int32Array ? 'int32' : 'float32');
    if (!windows) return tensor;
    const whole = gpu.inWindows(tensor, windows);
    tensor.dispose();
    return whole;
  });
  gpu.run([gpu.bind(kernel, tensors.map((tensor) => gpu.bufferOf(tensor)))], rows.length); // prettier-ignore
  const out: Record<string, Float32Array> = {};
  for (const [i, { name, access }] of kernel.bindings.entries())
    if (access === 'read_write') out[name] = Float32Array.from(await tensors[i].data());
  tf.dispose(tensors);
  return out;
}

/** Runs a kernel with sizes once. `inputs` by binding, half floats as their bits; those left out are read by no call of this kind. */
export async function runSized(
  kernel: SizedKernel,
  count: number,
  sizes: Readonly<Record<string, number>>,
  inputs: Readonly<Record<string, Numbers | Uint32Array | Uint16Array>>,
): Promise<Record<string, Float32Array>> {
  const gpu = activeGpu();
  const recorder = new Recorder(gpu);
  const tensors = kernel.bindings.slice(1).map(({ name }) => {
    const values = inputs[name];
    if (!values) return null;
    return values instanceof Float32Array
      ? tf.tensor1d(values)
      : tf.tensor1d(new Int32Array(values.buffer.slice(0)), 'int32');
  });
  const buffers = tensors.map((tensor, i) => {
    if (!tensor) return null;
    const from = gpu.bufferOf(tensor);
    const { length: numbers, BYTES_PER_ELEMENT } = inputs[kernel.bindings[i + 1].name];
    return operand(kernel, kernel.bindings[i + 1].name, from, numbers, BYTES_PER_ELEMENT as 2 | 4);
  });
  recorder.add(kernel, count, sizes, buffers);
  recorder.submit();
  const out: Record<string, Float32Array> = {};
  for (const [i, { name, access }] of kernel.bindings.slice(1).entries())
    if (access === 'read_write') out[name] = numbersIn(await tensors[i]!.data(), inputs[name] instanceof Uint16Array);
  tf.dispose(tensors.filter((tensor) => tensor !== null));
  recorder.dispose();
  return out;
}

const HALVES = halfTable();

function numbersIn(read: ArrayLike<number> & { slice(): { buffer: ArrayBufferLike } }, halves: boolean): Float32Array {
  if (!halves) return Float32Array.from(read);
  return Float32Array.from(new Uint16Array(read.slice().buffer), (half) => HALVES[half]);
}

export function largestDifference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return NaN;
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i] - wanted[i]);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}
