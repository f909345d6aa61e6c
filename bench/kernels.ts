/**
 * Single kernels of the hand-written WebGPU trunk against the tfjs operations they replace, on the same adapter, at the
 * shapes of MiniMind2-Small: milliseconds a call, the ratio, and the rates to hold against what the device could do.
 */
import * as tf from '@tensorflow/tfjs';
import { openDevice } from '../engine/device/open.ts';
import '../engine/device/register.node.ts';
import { UserError } from '../engine/errors.ts';
import { cachedAttention, cacheMask } from '../engine/model/attention.ts';
import { activeGpu, type Gpu, type Step } from '../engine/webgpu/gpu.ts';
import { tuningFor, type Kernel, type Tuning } from '../engine/webgpu/kernel.ts';
import { attentionKernel } from '../engine/webgpu/kernels/attention.ts';
import { gatedKernel } from '../engine/webgpu/kernels/gated.ts';
import { linearKernel } from '../engine/webgpu/kernels/linear.ts';
import { writeStep } from '../engine/webgpu/step.ts';
import { formatOf } from '../engine/webgpu/weight-format.ts';
import { describeMachine, saveResults } from './results.ts';

export type KernelOptions = { readonly device: string; readonly json: boolean; readonly out?: string | undefined };

type Subject = {
  readonly name: string;
  readonly rows: number;
  readonly kernel: Kernel;
  /** Shapes of the kernel's buffers after the step buffer. */
  readonly shapes: readonly (readonly number[])[];
  /** The same in tfjs, from the tensors of those shapes. */
  readonly plain: (tensors: readonly tf.Tensor[]) => tf.Tensor;
  /** Multiplications and additions, and bytes that must be read at least once. */
  readonly flops: number;
  readonly bytes: number;
};

type Measured = {
  readonly name: string;
  readonly rows: number;
  readonly ms: number;
  readonly tfjsMs: number;
  readonly ratio: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
};

const ROWS = [1, 8, 32] as const;
const POSITION = 255;

export async function benchKernels(options: KernelOptions): Promise<void> {
  if (options.device !== 'webgpu') throw new UserError(`the suite kernels measures webgpu, not ${options.device}`);
  const machine = describeMachine();
  const device = await openDevice('webgpu');
  const gpu = activeGpu();
  const say = (line: string): void => (options.json ? console.error(line) : console.log(line));
  say(`${device.info.name} (load ${machine.loadBefore} on ${machine.cores} cores)`);
  const results: Measured[] = [];
  for (const rows of ROWS) {
    for (const subject of subjects(rows, tuningFor(gpu))) {
      const one = await measure(gpu, subject);
      results.push(one);
      say(
        `${one.name.padEnd(22)} ${String(rows).padStart(2)} rows  ${one.ms.toFixed(3)} ms, tfjs ${one.tfjsMs.toFixed(3)}: ` +
          `${one.ratio} times; ${one.gflops} GFLOP/s, ${one.gigabytesPerSecond} GB/s`,
      );
    }
  }
  const { name, features } = device.info;
  say(
    `written to ${await saveResults('kernels', machine, name, { adapter: { name, features }, results }, options.out)}`,
  );
  const product = results.find((one) => one.rows === 32 && one.name.startsWith('linear'))!;
  if (options.json) console.log(JSON.stringify({ event: 'done', matmul_vs_tfjs: product.ratio }));
  process.exit(0);
}

function subjects(rows: number, tuning: Tuning): Subject[] {
  const [hidden, wide, heads, kvHeads, headDim, capacity] = [512, 1408, 8, 2, 64, 256];
  const shape = { heads, kvHeads, headDim, capacity };
  const nt = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true);
  const cached = rows * kvHeads * capacity * headDim;
  return [
    {
      ...{ name: `linear ${wide} to ${hidden}`, rows },
      kernel: linearKernel({ columns: wide, parts: [hidden], bias: false, accumulate: true, rank: 0, adapters: 0 }, formatOf('f32'), tuning, rows), // prettier-ignore
      shapes: [[rows, wide], [hidden, wide], [rows, hidden]], // prettier-ignore
      plain: ([x, w, y]) => tf.add(y, nt(x, w)),
      ...{ flops: 2 * rows * wide * hidden, bytes: 4 * wide * hidden },
    },
    {
      ...{ name: `gated ${hidden} to ${wide}`, rows },
      kernel: gatedKernel({ columns: hidden, outputs: wide, rank: 0, adapters: 0 }, formatOf('f32'), tuning, rows),
      shapes: [[rows, hidden], [wide, hidden], [wide, hidden], [rows, wide]], // prettier-ignore
      plain: ([x, gate, up]) => {
        const g = nt(x, gate);
        return tf.mul(tf.mul(g, tf.sigmoid(g)), nt(x, up));
      },
      ...{ flops: 4 * rows * wide * hidden, bytes: 8 * wide * hidden },
    },
    {
      ...{ name: `attention, ${POSITION + 1} keys`, rows },
      kernel: attentionKernel(shape, tuning),
      shapes: [[rows, heads * headDim], [rows * kvHeads, capacity, headDim], [rows * kvHeads, capacity, headDim], [rows, heads * headDim]], // prettier-ignore
      plain: ([q, k, v]) =>
        cachedAttention(
          ...([q, k, v, shape, cacheMask(new Int32Array(rows).fill(POSITION), capacity)] as Parameters<
            typeof cachedAttention
          >),
        ),
      ...{ flops: 4 * rows * heads * headDim * capacity, bytes: 8 * cached },
    },
  ];
}

async function measure(gpu: Gpu, { name, rows, kernel, shapes, plain, flops, bytes }: Subject): Promise<Measured> {
  const tensors = shapes.map((dims, i) => tf.randomUniform([...dims], -1, 1, 'float32', i));
  const words = writeStep(
    Array.from({ length: rows }, (_, slot) => ({ slot, position: POSITION, out: slot, adapter: null })),
  );
  const step = tf.tensor1d(new Int32Array(words.buffer), 'int32');
  const bound = gpu.bind(
    kernel,
    [step, ...tensors].map((tensor) => gpu.bufferOf(tensor)),
  );
  const ms = await fastest(async (count) => {
    gpu.run(
      Array.from({ length: count }, (): Step => bound),
      rows,
    );
    await gpu.device.queue.onSubmittedWorkDone();
  });
  const tfjsMs = await fastest(async (count) => {
    for (let i = 1; i < count; i++) tf.tidy(() => void plain(tensors));
    const last = tf.tidy(() => plain(tensors));
    await last.data();
    last.dispose();
  });
  tf.dispose([step, ...tensors]);
  const rounded = (value: number): number => Number(value.toPrecision(3));
  return {
    ...{ name, rows, ms: rounded(ms), tfjsMs: rounded(tfjsMs), ratio: rounded(tfjsMs / ms) },
    ...{ gflops: rounded(flops / ms / 1e6), gigabytesPerSecond: rounded(bytes / ms / 1e6) },
  };
}

/** Milliseconds a call: the best of five turns, each as many calls as last about 20 ms. */
async function fastest(call: (count: number) => Promise<void>): Promise<number> {
  await call(1);
  const timed = async (count: number): Promise<number> => {
    const started = performance.now();
    await call(count);
    return (performance.now() - started) / count;
  };
  const count = Math.max(1, Math.min(50, Math.round(20 / (await timed(1)))));
  let best = Infinity;
  for (let turn = 0; turn < 5; turn++) best = Math.min(best, await timed(count));
  return best;
}
