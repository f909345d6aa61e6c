/**
 * The bytes of our kernel module, by what the machine can do: fused multiply-adds or separate ones, a 6×8 or a 4×8 tile,
 * shared memory or private. It also knows how to ask the machine.
 */
import { causalSoftmaxJob, ropeJob, softmaxGradJob } from './attention-jobs.ts';
import { gatedGradJob, gatedJob } from './gated-jobs.ts';
import { rmsNormGradJob, rmsNormJob, rmsNormWeightGradJob } from './norm-jobs.ts';
import { Assembler, type Func, f32x4, v128 } from './emit.ts';
import { BINARY_OPS, binaryJob, columnSumJob, expJob } from './elementwise.ts';
import { blockProductJob } from './block-product.ts';
import { packBlocksJob } from './block-pack.ts';
import { cachedAttentionJob } from './cached-attention.ts';
import { packPanelsJob } from './panels.ts';
import { productJob } from './product.ts';
import { teamFunctions } from './team.ts';
import { weighJob } from './weigh.ts';

export type KernelOptions = {
  /** Rows of the register tile. */
  readonly tileRows: number;
  /** Fused multiply-add of the relaxed-SIMD proposal; rounds once instead of twice. */
  readonly relaxed: boolean;
  /** Memory shared among threads. */
  readonly shared: boolean;
};

/** Numbers of the jobs, in the order in which the module lists them. */
export const JOB = {
  product: 0, exp: 1, columnSum: 2, Add: 3, Sub: 4, Multiply: 5, RealDiv: 6, rmsNorm: 7, rmsNormGrad: 8,
  rmsNormWeightGrad: 9, gated: 10, gatedGrad: 11, causalSoftmax: 12, softmaxGrad: 13, rope: 14,
  packPanels: 15, cachedAttention: 16, packBytes: 17, packNibbles: 18, bytesProduct: 19, nibblesProduct: 20,
  weigh: 21,
} as const; // prettier-ignore

export type KernelExports = {
  /** Runs all pieces on the calling thread. */
  runAlone(control: number, scratch: number, pieces: number): void;
  /** Shares the pieces with every thread in `serve`; returns when all are done. Only with shared memory. */
  run(control: number, scratch: number, pieces: number): void;
  /** A helper thread's life; returns when the control block says quit. Only with shared memory. */
  serve(control: number, scratch: number): void;
};

export function kernelBytes(options: KernelOptions): Uint8Array<ArrayBuffer> {
  const module = new Assembler();
  const jobs: Record<keyof typeof JOB, Func> = {
    product: productJob(module, options.tileRows, options.relaxed),
    exp: expJob(module, options.relaxed),
    columnSum: columnSumJob(module),
    rmsNorm: rmsNormJob(module),
    rmsNormGrad: rmsNormGradJob(module),
    rmsNormWeightGrad: rmsNormWeightGradJob(module),
    gated: gatedJob(module, options.relaxed),
    gatedGrad: gatedGradJob(module, options.relaxed),
    causalSoftmax: causalSoftmaxJob(module, options.relaxed),
    softmaxGrad: softmaxGradJob(module),
    rope: ropeJob(module),
    packPanels: packPanelsJob(module),
    cachedAttention: cachedAttentionJob(module, options.relaxed),
    packBytes: packBlocksJob(module, 'q8'),
    packNibbles: packBlocksJob(module, 'q4'),
    bytesProduct: blockProductJob(module, 'q8', options.relaxed),
    nibblesProduct: blockProductJob(module, 'q4', options.relaxed),
    weigh: weighJob(module, options.relaxed),
    ...(Object.fromEntries(BINARY_OPS.map((op) => [op, binaryJob(module, op)])) as Record<
      (typeof BINARY_OPS)[number],
      Func
    >),
  };
  const inOrder = (Object.keys(JOB) as (keyof typeof JOB)[]).sort((a, b) => JOB[a] - JOB[b]).map((name) => jobs[name]);
  teamFunctions(module, inOrder, options.shared);
  return module.assemble(options.shared);
}

/** Whether this machine compiles relaxed SIMD (Chrome 114, Firefox 145, Node 22; Node 20 behind a flag). */
export function hasRelaxedSimd(): boolean {
  const module = new Assembler();
  module.func(null, [], 'v128', () => f32x4.relaxedMadd(v128.zero, v128.zero, v128.zero));
  return WebAssembly.validate(module.assemble(false));
}

/** Whether threads can share a WebAssembly memory here: always in Node, in browsers on cross-origin isolated pages. */
export function hasSharedMemory(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;
  return isolated !== false;
}
