/** The optimiser's step over flat arrays on the device, in place, however many parts a binding's limit cuts them into. */
import type * as tf from '@tensorflow/tfjs';
import type { Gpu } from './gpu.ts';
import { adamwKernel, type AdamwFactors } from './kernels/adamw.ts';
import { Recorder } from './recorder.ts';
import { cutFor } from './sized-kernel.ts';

export type FlatArrays = { readonly [name in 'g' | 'p' | 'm' | 'v']: tf.Tensor1D };

/** Bindings start at multiples of so many numbers. */
const ALIGNMENT = 64;

const recorders = new WeakMap<Gpu, Recorder>();

/** Numbers begin … end - 1 of each run, with the factors of that run. p, m and v change; `most` bounds a binding's numbers. */
export function adamwInPlace<Run extends { readonly begin: number; readonly end: number }>(
  gpu: Gpu,
  { g, p, m, v }: FlatArrays,
  runs: readonly Run[],
  factorsOf: (run: Run) => AdamwFactors,
  most = Math.floor(gpu.device.limits.maxStorageBufferBindingSize / 4 / ALIGNMENT) * ALIGNMENT,
): void {
  const recorder = recorders.get(gpu) ?? new Recorder(gpu);
  recorders.set(gpu, recorder);
  const kernel = adamwKernel(cutFor(gpu.software));
  const buffers = [gpu.bufferOf(g), ...[p, m, v].map((tensor) => gpu.bufferToChange(tensor))];
  for (const run of runs) {
    const factors = factorsOf(run);
    const sizes = { ...factors, rest1: 1 - factors.beta1, rest2: 1 - factors.beta2 };
    for (let at = run.begin; at < run.end;) {
      const start = Math.floor(at / most) * most;
      const stop = Math.min(run.end, start + most);
      const bound = buffers.map((buffer) => ({ buffer, offset: start * 4, size: (stop - start) * 4 }));
      recorder.add(kernel, stop - at, { ...sizes, first: at - start }, bound);
      at = stop;
    }
  }
  recorder.submit();
}
