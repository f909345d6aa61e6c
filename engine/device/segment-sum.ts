/**
 * UnsortedSegmentSum, the gradient of gather, which tfjs's wasm backend lacks. Rows are added in their order, so sums are
 * the same on every run.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { replaceKernel } from './replace-kernel.ts';
import type { WasmBackend } from './wasm-backend.ts';

type Inputs = { x: tfjs.TensorInfo; segmentIds: tfjs.TensorInfo };

/** out[segmentIds[i], …] += x[i, …]; ids outside [0, numSegments) are dropped, as on tfjs's other backends. */
export function registerSegmentSum(tf: typeof tfjs): void {
  replaceKernel(tf, 'UnsortedSegmentSum', ({ inputs, attrs, backend: anyBackend }) => {
    const { x, segmentIds } = inputs as Inputs;
    const numSegments = (attrs as unknown as { numSegments: number }).numSegments;
    const backend = anyBackend as WasmBackend;
    const rowShape = x.shape.slice(segmentIds.shape.length);
    const width = rowShape.reduce((a, b) => a * b, 1);
    const out = backend.makeOutput([numSegments, ...rowShape], 'float32');
    const sums = backend.typedArrayFromHeap(out) as Float32Array;
    const values = backend.typedArrayFromHeap(x) as Float32Array;
    const ids = backend.typedArrayFromHeap(segmentIds) as Int32Array;
    sums.fill(0);
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (id < 0 || id >= numSegments) continue;
      const [to, from] = [id * width, i * width];
      for (let j = 0; j < width; j++) sums[to + j]! += values[from + j]!;
    }
    return out;
  });
}
