/**
 * Single kernels of the hand-written WebGPU trunk against the tfjs operations they replace, on the same adapter, at the
 * shapes of MiniMind2-Small: milliseconds a call, the ratio, and the share of what the device could do at most, be it
 * reading what must be read or multiplying.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../engine/formats/config.ts';
import { cachedAttention, cacheMask } from '../engine/model/attention.ts';
import { drawOnDevice } from '../engine/rollout/device-sample.ts';
import { adamwInPlace } from '../engine/webgpu/flat-adamw.ts';
import { fusedScores } from '../engine/webgpu/fused-head.ts';
import { activeGpu, type Gpu, type Step } from '../engine/webgpu/gpu.ts';
import { tuningFor, type Kernel, type Tuning } from '../engine/webgpu/kernel.ts';
import { attentionKernel } from '../engine/webgpu/kernels/attention.ts';
import { drawKernel } from '../engine/webgpu/kernels/draw.ts';
import { gatedKernel } from '../engine/webgpu/kernels/gated.ts';
import { headTilesKernel, RECORD, runsOf } from '../engine/webgpu/kernels/head-tiles.ts';
import { linearKernel } from '../engine/webgpu/kernels/linear.ts';
import { rmsNormKernel } from '../engine/webgpu/kernels/rms-norm.ts';
import { recordProduct, products } from '../engine/webgpu/record-product.ts';
import { Recorder } from '../engine/webgpu/recorder.ts';
import { cutFor } from '../engine/webgpu/sized-kernel.ts';
import { pagesFor } from '../engine/webgpu/page-pool.ts';
import { wholeStep } from '../engine/webgpu/step.ts';
import { formatOf } from '../engine/webgpu/weight-format.ts';
import { shapeNamed } from './models.ts';
import { roofOf, type Roof } from './roof.ts';
import { keepResults, rounded, type Bench, type Figures } from './suite.ts';

type Subject = {
  readonly name: string;
  readonly rows: number;
  /** Sends so many calls to the device. */
  readonly ours: (calls: number) => void;
  /** The same in tfjs. */
  readonly plain: () => tf.Tensor;
  /** Operations, a multiply-add being two, and bytes that must be read or written at least once. */
  readonly flops: number;
  readonly bytes: number;
  readonly dispose: () => void;
};

type Measured = {
  readonly name: string;
  readonly rows: number;
  readonly ms: number;
  readonly tfjsMs: number;
  readonly ratio: number;
  readonly gflops: number;
  readonly gigabytesPerSecond: number;
  /** Share of the nearer of the two limits. */
  readonly ofRoof: number;
};

const ROWS = [1, 8, 32] as const;
const POSITION = 255;
const CAPACITY = 256;
/** Rows of a micro-batch where training is measured. */
const TRAINED = 512;
/** What `matmul_vs_tfjs` tells of. */
const PRODUCT = 'product nt';

export async function benchKernels(bench: Bench): Promise<Figures> {
  const gpu = activeGpu();
  const config = shapeNamed('minimind2-small');
  const roof = await roofOf(bench);
  const results: Measured[] = [];
  const makers = [...ROWS.flatMap((rows) => decodingSubjects(gpu, config, rows)), ...trainingSubjects(gpu, config)];
  for (const make of makers) {
    const subject = make();
    const one = await measure(gpu, subject, roof);
    subject.dispose();
    results.push(one);
    bench.say(
      `${one.name.padEnd(26)} ${String(one.rows).padStart(3)} rows  ${one.ms.toFixed(3)} ms, tfjs ${one.tfjsMs.toFixed(3)}: ` +
        `${one.ratio} times; ${one.gflops} GFLOP/s, ${one.gigabytesPerSecond} GB/s, ${(100 * one.ofRoof).toPrecision(2)} % of the roof`,
    );
  }
  await keepResults(bench, 'kernels', { roof, results });
  return { matmul_vs_tfjs: results.find(({ name }) => name === PRODUCT)!.ratio };
}

async function measure(gpu: Gpu, { name, rows, ours, plain, flops, bytes }: Subject, roof: Roof): Promise<Measured> {
  const ms = await fastest(async (count) => {
    ours(count);
    await gpu.device.queue.onSubmittedWorkDone();
  });
  const tfjsMs = await fastest(async (count) => {
    for (let i = 0; i < count; i++) plain().dispose();
    gpu.run([], 0); // sends what tfjs has recorded
    await gpu.device.queue.onSubmittedWorkDone();
  });
  const least = Math.max(flops / roof.fmaGflops, bytes / roof.copyGBs) / 1e6;
  return {
    ...{ name, rows, ms: rounded(ms), tfjsMs: rounded(tfjsMs), ratio: rounded(tfjsMs / ms) },
    ...{ gflops: rounded(flops / ms / 1e6), gigabytesPerSecond: rounded(bytes / ms / 1e6) },
    ofRoof: rounded(least / ms),
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
  const first = await timed(1);
  const count = Math.max(1, Math.min(50, Math.round(20 / first)));
  let best = first;
  for (let turn = 0; turn < 5 && turn * count * first < 3000; turn++) best = Math.min(best, await timed(count));
  return best;
}

const nt = (a: tf.Tensor, b: tf.Tensor): tf.Tensor2D => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D, false, true);
const numbers = (shape: readonly number[], seed: number): tf.Tensor =>
  tf.randomUniform([...shape], -1, 1, 'float32', seed);

// ---- one row a sequence --------------------------------------------------------------------------------------

type Stepwise = Pick<Subject, 'name' | 'flops' | 'bytes'> & {
  readonly kernel: Kernel;
  /** Shapes of the kernel's buffers after the step buffer. */
  readonly shapes: readonly (readonly number[])[];
  readonly plain: (tensors: readonly tf.Tensor[]) => tf.Tensor;
};

function decodingSubjects(gpu: Gpu, config: ModelConfig, rows: number): (() => Subject)[] {
  const tuning = tuningFor(gpu);
  const all = [...linears(config, rows, tuning), ...rowwise(config, rows, tuning)];
  return [...all.map((one) => () => stepwise(gpu, rows, one)), () => sampled(gpu, config, rows, tuning)];
}

function stepwise(gpu: Gpu, rows: number, { kernel, shapes, plain, ...rest }: Stepwise): Subject {
  const tensors = shapes.map((shape, i) => numbers(shape, i));
  const step = stepTensor(rows);
  const read = [step, ...tensors].map((tensor, i) => shown(gpu, kernel, i, tensor));
  const bound = gpu.bind(kernel, read.map((tensor) => gpu.bufferOf(tensor))); // prettier-ignore
  return {
    ...{ ...rest, rows },
    ours: (calls) =>
      gpu.run(
        Array.from({ length: calls }, (): Step => bound),
        rows,
      ),
    plain: () => tf.tidy(() => plain(tensors)),
    dispose: () => tf.dispose([...tensors, ...read]),
  };
}

/** A tensor, or a copy of it, as a kernel's binding can show it. */
function shown(gpu: Gpu, kernel: Kernel, binding: number, tensor: tf.Tensor): tf.Tensor {
  const { windows } = kernel.bindings[binding];
  return windows ? gpu.inWindows(tensor, windows) : tensor;
}

/** A step of `rows` sequences, all as far as the cache goes, each to be drawn from. */
function stepTensor(rows: number): tf.Tensor {
  const seats = Array.from({ length: rows }, (_, slot) => ({ slot, position: POSITION, out: slot, adapter: null }));
  const pages = pagesFor(CAPACITY);
  const slots = seats.map(({ slot }) => Array.from({ length: pages }, (_, nth) => slot * pages + nth));
  return tf.tensor1d(wholeStep(seats, seats.map(() => ({ sharpness: 1.25, draw: 0.4 })), slots), 'int32'); // prettier-ignore
}

function linears({ hidden, intermediate: wide }: ModelConfig, rows: number, tuning: Tuning): Stepwise[] {
  const format = formatOf('f32');
  const low = { rank: 0, adapters: 0 };
  return [
    {
      name: `linear ${wide} to ${hidden}`,
      kernel: linearKernel({ columns: wide, parts: [hidden], bias: false, accumulate: true, ...low }, format, tuning, rows), // prettier-ignore
      shapes: [[rows, wide], [hidden, wide], [rows, hidden]], // prettier-ignore
      plain: ([x, w, y]) => tf.add(y, nt(x, w)),
      ...{ flops: 2 * rows * wide * hidden, bytes: 4 * wide * hidden },
    },
    {
      name: `gated ${hidden} to ${wide}`,
      kernel: gatedKernel({ columns: hidden, outputs: wide, ...low }, format, tuning, rows),
      shapes: [[rows, hidden], [wide, hidden], [wide, hidden], [rows, wide]], // prettier-ignore
      plain: ([x, gate, up]) => {
        const g = nt(x, gate);
        return tf.mul(tf.mul(g, tf.sigmoid(g)), nt(x, up));
      },
      ...{ flops: 4 * rows * wide * hidden, bytes: 8 * wide * hidden },
    },
  ];
}

function rowwise({ hidden, heads, kvHeads, headDim, rmsEps }: ModelConfig, rows: number, tuning: Tuning): Stepwise[] {
  const shape = { heads, kvHeads, headDim, capacity: CAPACITY, keys: 'f32' as const };
  const mask = cacheMask(new Int32Array(rows).fill(POSITION), CAPACITY);
  const keys = [rows * kvHeads, CAPACITY, headDim];
  return [
    {
      name: `attention, ${CAPACITY} keys`,
      kernel: attentionKernel(shape, tuning),
      shapes: [[rows, heads * headDim], keys, keys, [rows, heads * headDim]],
      plain: ([q, k, v]) => cachedAttention(...([q, k, v, shape, mask] as Parameters<typeof cachedAttention>)),
      ...{ flops: 4 * rows * heads * headDim * CAPACITY, bytes: 8 * rows * kvHeads * CAPACITY * headDim },
    },
    {
      name: `norm ${hidden}`,
      kernel: rmsNormKernel({ columns: hidden, eps: rmsEps, pick: false }, tuning),
      shapes: [[rows, hidden], [hidden], [rows, hidden]],
      plain: ([x, w]) => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), rmsEps))), w),
      ...{ flops: 4 * rows * hidden, bytes: 8 * rows * hidden },
    },
  ];
}

/** From last states to tokens: two kernels of ours; logits, then a dozen operations, in tfjs. */
function sampled(gpu: Gpu, { hidden: columns, vocab }: ModelConfig, rows: number, tuning: Tuning): Subject {
  const part = { first: 0, count: vocab };
  const format = formatOf('f32');
  const [x, w] = [numbers([rows, columns], 1), numbers([vocab, columns], 2)];
  const step = stepTensor(rows);
  const scratch = [
    gpu.allocate([rows * runsOf(vocab) * RECORD]),
    gpu.allocate([rows], 'int32'),
    gpu.allocate([rows * 3]),
  ];
  const [records, ids, drawn] = scratch.map((tensor) => gpu.bufferOf(tensor));
  const tiles = headTilesKernel({ columns, vocab, part, format }, tuning, rows);
  const rowsOfTiles = shown(gpu, tiles, 1, x);
  const [stepBuffer, states, head] = [step, x, w].map((tensor) => gpu.bufferOf(tensor));
  const steps = [
    gpu.bind(tiles, [stepBuffer, gpu.bufferOf(rowsOfTiles), head, records]),
    gpu.bind(drawKernel({ columns, vocab, parts: [part], format }, tuning), [stepBuffer, states, head, records, ids, drawn]), // prettier-ignore
  ];
  const sampling = { temperature: 0.8, topK: 0, topP: 1, minP: 0, maxTokens: 1, stop: [], seed: 1 };
  return {
    ...{ name: `head ${vocab} and draw`, rows, flops: 2 * rows * columns * vocab, bytes: 4 * columns * vocab },
    ours: (calls) => gpu.run(Array.from({ length: calls }, () => steps).flat(), rows),
    plain: () =>
      tf.tidy(() => {
        const draw = drawOnDevice(
          nt(x, w),
          Array.from({ length: rows }, () => ({ sampling, position: POSITION })),
        );
        return draw.numbers;
      }),
    dispose: () => tf.dispose([step, x, rowsOfTiles, w, ...scratch]),
  };
}

// ---- training ------------------------------------------------------------------------------------------------

function trainingSubjects(gpu: Gpu, config: ModelConfig): (() => Subject)[] {
  const { hidden, intermediate: wide } = config;
  const shapes = { nt: [TRAINED, wide, hidden], nn: [TRAINED, hidden, wide], tn: [wide, hidden, TRAINED] } as const;
  return [
    ...(['nt', 'nn', 'tn'] as const).map((orientation) => () => product(gpu, orientation, shapes[orientation])),
    () => scored(gpu, config),
    () => optimiser(gpu),
  ];
}

function product(gpu: Gpu, orientation: 'nt' | 'nn' | 'tn', [m, n, k]: readonly [number, number, number]): Subject {
  const a = numbers(orientation === 'tn' ? [k, m] : [m, k], 1) as tf.Tensor2D;
  const b = numbers(orientation === 'nt' ? [n, k] : [k, n], 2) as tf.Tensor2D;
  const c = gpu.allocate([m, n]);
  const [x, y, z] = [a, b, c].map((tensor) => gpu.bufferOf(tensor));
  const recorder = new Recorder(gpu);
  const kernels = products(cutFor(gpu));
  return {
    ...{ name: `product ${orientation}`, rows: TRAINED, flops: 2 * m * n * k, bytes: 4 * (m * k + k * n + m * n) },
    ours: (calls) => {
      for (let i = 0; i < calls; i++) recordProduct(recorder, kernels, orientation, { m, n, k }, [x, y, z]);
      recorder.submit();
    },
    plain: () => tf.matMul(a, b, orientation === 'tn', orientation === 'nt'),
    dispose: () => {
      recorder.dispose();
      tf.dispose([a, b, c]);
    },
  };
}

/** Log-probs and entropies of given tokens; both read all logits. */
function scored(gpu: Gpu, { hidden, vocab }: ModelConfig): Subject {
  const rows = TRAINED / 4;
  const [x, w] = [numbers([rows, hidden], 1) as tf.Tensor2D, numbers([vocab, hidden], 2) as tf.Tensor2D];
  const ids = Int32Array.from({ length: rows }, (_, row) => (row * 131) % vocab);
  const flat = tf.tensor1d(ids.map((id, row) => row * vocab + id), 'int32'); // prettier-ignore
  const options = { entropyGradient: false, trainHead: false };
  return {
    ...{ name: `scores of ${vocab}`, rows, flops: 2 * rows * hidden * vocab, bytes: 4 * hidden * vocab },
    ours: (calls) => {
      for (let i = 0; i < calls; i++) fusedScores(gpu, x, w, ids, options).dispose();
    },
    plain: () =>
      tf.tidy(() => {
        const logits = tf.logSoftmax(nt(x, w));
        const entropy = tf.neg(tf.sum(tf.mul(tf.exp(logits), logits), 1));
        return tf.stack([tf.gather(tf.reshape(logits, [-1]), flat), entropy]);
      }),
    dispose: () => tf.dispose([x, w, flat]),
  };
}

/** A million parameters; what it does to them is the same every time. */
function optimiser(gpu: Gpu): Subject {
  const size = 2 ** 20;
  const [g, p, m, v] = [1, 2, 3, 4].map((seed) => tf.abs(numbers([size], seed)) as tf.Tensor1D);
  const factors = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, step: 1e-4, root: 0.1, decay: 0.999, scale: 0.5 };
  return {
    ...{ name: 'AdamW', rows: 1, flops: 14 * size, bytes: 7 * 4 * size },
    ours: (calls) => {
      for (let i = 0; i < calls; i++) adamwInPlace(gpu, { g, p, m, v }, [{ begin: 0, end: size }], () => factors);
    },
    plain: () =>
      tf.tidy(() => {
        const scaled = tf.mul(g, factors.scale);
        const first = tf.add(tf.mul(m, factors.beta1), tf.mul(scaled, 1 - factors.beta1));
        const second = tf.add(tf.mul(v, factors.beta2), tf.mul(tf.square(scaled), 1 - factors.beta2));
        const by = tf.add(tf.div(tf.sqrt(second), factors.root), factors.epsilon);
        return tf.sub(tf.mul(p, factors.decay), tf.mul(tf.div(first, by), factors.step));
      }),
    dispose: () => tf.dispose([g, p, m, v]),
  };
}
