/**
 * What a WebGPU device reaches: bytes a second when it copies, multiply-adds a second when nothing waits for memory, and
 * matrix products. The first two are the roof over every kernel, the third is what models are made of.
 */
import * as tf from '@tensorflow/tfjs';
import type { Gpu } from './gpu.ts';
import { recordProduct, products } from './record-product.ts';
import { Recorder } from './recorder.ts';
import { cutFor, sizedKernel } from './sized-kernel.ts';
import { each, writes } from './wgsl.ts';

/** Large beside any cache, within the smallest limit of a binding. */
const COPY_BYTES = 64 * 2 ** 20;
const MEASURE_MS = 200;

/** GB/s (1e9), read and written bytes both counted, between two buffers of 64 MiB. */
export async function copyRate(gpu: Gpu): Promise<number> {
  const tensors = [0, 1].map(() => gpu.allocate([COPY_BYTES / 4]));
  const [from, to] = tensors.map((tensor) => gpu.bufferOf(tensor));
  const copy = { from, to, bytes: COPY_BYTES };
  const ms = await fastest(gpu, (count) => gpu.run([], 0, { after: Array.from({ length: count }, () => copy) }));
  tf.dispose(tensors);
  return (2 * COPY_BYTES) / ms / 1e6;
}

const CHAINS = 4;
/** What a turn costs besides must not count: an emulating adapter asks after every one whether threads go on. */
const STEPS = 16;
const TURNS = 128;
const THREADS = 64;

/** Multiply-adds in registers: `CHAINS` independent sums of four lanes a thread, so that none waits for the one before. */
const fmaKernel = sizedKernel('multiply-adds', {
  bindings: [writes('sums', 'f32')],
  counts: {},
  reals: ['x'],
  ...{ threads: THREADS, perGroup: THREADS },
  main: `
  let item = block * ${THREADS}u + thread;
  let seed = vec4f(f32(item), x, 1f, 2f) * x;
${each(CHAINS, '  var s# = seed + #f;')}
  for (var i = 0u; i < turns(${TURNS}u); i++) {
${each(STEPS, each(CHAINS, '    s# = fma(s#, vec4f(x), seed);'))}
  }
  if (item < count) { sums[item] = dot(${Array.from({ length: CHAINS }, (_, i) => `s${i}`).join(' + ')}, vec4f(1f)); }`,
});

/** GFLOP/s of f32 multiply-adds, each two operations. */
export async function fmaRate(gpu: Gpu): Promise<number> {
  const items = gpu.software ? 2 ** 13 : 2 ** 19;
  const sums = gpu.allocate([items]);
  const recorder = new Recorder(gpu);
  const ms = await fastest(gpu, (count) => {
    for (let i = 0; i < count; i++) recorder.add(fmaKernel, items, { x: 0.5 }, [gpu.bufferOf(sums)]);
    recorder.submit();
  });
  recorder.dispose();
  sums.dispose();
  return (items * TURNS * STEPS * CHAINS * 4 * 2) / ms / 1e6;
}

/** GFLOP/s of a product of two square matrices in the orientation of the forward pass, by our own kernel. */
export async function productRate(gpu: Gpu, cut = cutFor(gpu)): Promise<number> {
  const size = gpu.software ? 512 : 2048;
  const tensors = [1, 2].map((seed) => tf.randomUniform([size, size], -1, 1, 'float32', seed));
  tensors.push(gpu.allocate([size, size]));
  const [a, b, c] = tensors.map((tensor) => gpu.bufferOf(tensor));
  const recorder = new Recorder(gpu);
  const kernels = products(cut);
  const ms = await fastest(gpu, (count) => {
    for (let i = 0; i < count; i++) recordProduct(recorder, kernels, 'nt', { m: size, n: size, k: size }, [a, b, c]);
    recorder.submit();
  });
  recorder.dispose();
  tf.dispose(tensors);
  return (2 * size ** 3) / ms / 1e6;
}

/** Milliseconds a call: the best of a fifth of a second of turns, each as many calls as last some 20 ms. */
async function fastest(gpu: Gpu, call: (count: number) => void): Promise<number> {
  const timed = async (count: number): Promise<number> => {
    const started = performance.now();
    call(count);
    await gpu.device.queue.onSubmittedWorkDone();
    return Math.max(performance.now() - started, 1e-3) / count;
  };
  await timed(1); // compiles
  const count = Math.max(1, Math.min(64, Math.round(20 / (await timed(1)))));
  let best = Infinity;
  const end = performance.now() + MEASURE_MS;
  do best = Math.min(best, await timed(count));
  while (performance.now() < end);
  return best;
}
