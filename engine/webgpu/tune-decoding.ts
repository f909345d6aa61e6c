/**
 * The products of decoding a model, as contests of the autotuner: each as a step runs it, without adapters, on the weights
 * of the first layer and the head, with zeros for everything else.
 */
import * as tf from '@tensorflow/tfjs';
import type { ForwardWeights } from '../model/trunk.ts';
import type { Contest } from './autotune.ts';
import { planRows, type Ground } from './fast-cache.ts';
import { normaliseThemselves } from './kernel.ts';
import { gatedKernel } from './kernels/gated.ts';
import { headTilesKernel, RECORD, runsOf } from './kernels/head-tiles.ts';
import { linearKernel } from './kernels/linear.ts';
import { writeStep } from './step.ts';
import { wholeWindows } from './workspace.ts';

/** For steps of so many slots. Does nothing where the device is not to be tuned. */
export async function tuneDecoding(ground: Ground, using: ForwardWeights, slots: number): Promise<void> {
  const { gpu, config, tuning } = ground;
  if (!gpu.autotuner) return;
  const rows = planRows(slots);
  const { hidden, intermediate, heads, kvHeads, headDim, vocab } = config;
  const widest = Math.max(hidden, intermediate, (heads + 2 * kvHeads) * headDim);
  const step = writeStep(
    Array.from({ length: rows }, () => ({ slot: 0, position: 0, out: null, adapter: null })),
    Array.from({ length: rows }, () => ({ sharpness: 1, draw: 0 })),
  );
  const inputs = wholeWindows(rows, tuning) * widest;
  const zeros = [inputs, rows * widest, rows * runsOf(vocab) * RECORD].map((size) =>
    gpu.concat([size], { windows: true }),
  );
  const numbers = [tf.tensor1d(new Int32Array(step.buffer), 'int32'), ...zeros];
  try {
    const [steps, x, y, records] = numbers.map((tensor) => gpu.bufferOf(tensor));
    await gpu.autotuner.tune(tuning, rows, contestsOf(ground, using, rows, { steps, x, y, records }));
  } finally {
    tf.dispose(numbers);
  }
}

/** Those that take longest first. */
function contestsOf(
  { config, packs, tuning: own }: Ground,
  using: ForwardWeights,
  rows: number,
  { steps, x, y, records }: Readonly<Record<'steps' | 'x' | 'y' | 'records', GPUBuffer>>,
): Contest[] {
  const { hidden, intermediate, heads, kvHeads, headDim, vocab } = config;
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  const { format, headFormat, layers, head } = packs.of(using);
  const { qkv, bias, o, gate, up, down } = layers[0];
  const none = { rank: 0, adapters: 0 };
  const few = normaliseThemselves(own, rows);
  const within = few ? { normEps: config.rmsEps } : {};
  const input = few ? [x, x] : [x]; // and any numbers as the norm's weight
  const residual = (columns: number, w: GPUBuffer): Contest => ({
    buffers: [steps, x, w, y],
    kernel: (tuning) =>
      linearKernel({ columns, parts: [hidden], bias: false, accumulate: true, ...none }, format, tuning, rows),
  });
  return [
    {
      buffers: [steps, ...input, gate, up, y],
      kernel: (tuning) =>
        gatedKernel({ columns: hidden, outputs: intermediate, ...none, ...within }, format, tuning, rows),
    },
    residual(intermediate, down),
    {
      buffers: [steps, ...input, qkv, ...(bias ? [bias] : []), y],
      kernel: (tuning) =>
        linearKernel(
          { columns: hidden, parts: [q, kv, kv], bias: bias !== null, accumulate: false, ...none, ...within },
          ...([format, tuning, rows] as const),
        ),
    },
    ...head.map(({ part, bound }): Contest => ({
      buffers: [steps, x, bound, records],
      kernel: (tuning) => headTilesKernel({ columns: hidden, vocab, part, format: headFormat }, tuning, rows),
    })),
    residual(q, o),
  ];
}
