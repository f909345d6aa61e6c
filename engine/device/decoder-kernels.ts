/**
 * The decoder's fused operations as tfjs kernels of the wasm backend, with their gradients: RMS norm, gated unit, causal
 * softmax, rotary positions. Who uses them stands in `fused.ts`; they are checked against plain operations in its tests.
 */
import type * as tfjs from '@tensorflow/tfjs';
import type { Tf } from './device.ts';
import { replaceKernel } from './replace-kernel.ts';
import type { WasmBackend } from './wasm-backend.ts';
import { WEIGHT_GRAD_COLUMNS } from './wasm-gemm/norm-jobs.ts';
import { ROW_ARGS } from './wasm-gemm/row-jobs.ts';
import type { JOB } from './wasm-gemm/module.ts';
import type { ThreadTeam } from './wasm-gemm/threads.ts';

type Info = tfjs.TensorInfo;
type Inputs = Record<string, Info>;
type Attrs = Record<string, number>;

/** Numbers per piece, and from how many on other threads are worth waking. */
const PIECE = 8192;
const SHARE_FROM = 16_384;

export const FUSED = {
  rmsNorm: 'TroupeRmsNorm',
  rmsNormGrad: 'TroupeRmsNormGrad',
  rmsNormWeightGrad: 'TroupeRmsNormWeightGrad',
  gated: 'TroupeGated',
  gatedGrad: 'TroupeGatedGrad',
  causalSoftmax: 'TroupeCausalSoftmax',
  softmaxGrad: 'TroupeSoftmaxGrad',
  rope: 'TroupeRope',
} as const;

/** Addresses p0 … p4 in order; a plain number stands for itself. */
type Operands = { readonly operands: readonly (Info | number)[] };

type RowsCall = {
  readonly rows: number;
  readonly cols: number;
  readonly period?: number;
  readonly number?: number;
  /** Pieces, where they are not blocks of rows. */
  readonly pieces?: number;
};

function perform(team: ThreadTeam, backend: WasmBackend, job: keyof typeof JOB, call: RowsCall & Operands): void {
  const addresses = call.operands.map((operand) =>
    typeof operand === 'number' ? operand : backend.dataIdMap.get(operand.dataId).memoryOffset,
  );
  runRows(team, job, addresses, call);
}

/** Runs a job that works row by row. operands: p0 … p4, addresses or what the job says. */
export function runRows(team: ThreadTeam, job: keyof typeof JOB, operands: readonly number[], call: RowsCall): void {
  const { rows, cols } = call;
  if (rows * cols === 0) return;
  const rowBlock = Math.max(1, Math.ceil(PIECE / cols));
  const words = team.view();
  const base = team.args;
  for (let i = 0; i < 5; i++) words[base + i] = operands[i] ?? 0;
  words[base + (ROW_ARGS.rows >> 2)] = rows;
  words[base + (ROW_ARGS.cols >> 2)] = cols;
  words[base + (ROW_ARGS.rowBlock >> 2)] = rowBlock;
  words[base + (ROW_ARGS.period >> 2)] = call.period ?? 1;
  team.floats()[base + (ROW_ARGS.number >> 2)] = call.number ?? 0;
  team.run(job, call.pieces ?? Math.ceil(rows / rowBlock), rows * cols >= SHARE_FROM);
}

function rowsAndCols(shape: readonly number[]): { rows: number; cols: number } {
  const cols = shape.at(-1)!;
  return { rows: shape.slice(0, -1).reduce((a, b) => a * b, 1), cols };
}

export function registerDecoderKernels(tf: Tf, team: ThreadTeam): void {
  const define = (name: string, run: (inputs: Inputs, attrs: Attrs, backend: WasmBackend) => Info | Info[]): void =>
    replaceKernel(tf, name, ({ inputs, attrs, backend }) =>
      run(inputs as Inputs, attrs as unknown as Attrs, backend as WasmBackend),
    );
  defineNorm(define, team);
  defineGated(define, team);
  defineSoftmax(define, team);
  define(FUSED.rope, ({ x, cos, sin }, { heads, sign }, backend) => {
    const out = backend.makeOutput(x!.shape, 'float32');
    const cols = cos!.shape.at(-1)!;
    const positions = cos!.shape.reduce((a, b) => a * b, 1) / cols;
    const rows = x!.shape.reduce((a, b) => a * b, 1) / cols;
    perform(team, backend, 'rope', {
      operands: [x!, cos!, sin!, out, heads!],
      rows,
      cols,
      period: positions * heads!,
      number: sign!,
    });
    return out;
  });
  registerGradients(tf);
}

type Define = (name: string, run: (inputs: Inputs, attrs: Attrs, backend: WasmBackend) => Info | Info[]) => void;

function defineNorm(define: Define, team: ThreadTeam): void {
  define(FUSED.rmsNorm, ({ x, weight }, { eps }, backend) => {
    const shape = rowsAndCols(x!.shape);
    const out = backend.makeOutput(x!.shape, 'float32');
    const scale = backend.makeOutput([shape.rows], 'float32');
    perform(team, backend, 'rmsNorm', { operands: [x!, weight!, out, scale], ...shape, number: eps! });
    return [out, scale];
  });
  define(FUSED.rmsNormGrad, ({ x, weight, dy, scale }, _, backend) => {
    const out = backend.makeOutput(x!.shape, 'float32');
    perform(team, backend, 'rmsNormGrad', { operands: [x!, weight!, dy!, scale!, out], ...rowsAndCols(x!.shape) });
    return out;
  });
  define(FUSED.rmsNormWeightGrad, ({ x, dy, scale }, _, backend) => {
    const shape = rowsAndCols(x!.shape);
    const out = backend.makeOutput([shape.cols], 'float32');
    const pieces = Math.ceil(shape.cols / WEIGHT_GRAD_COLUMNS);
    perform(team, backend, 'rmsNormWeightGrad', { operands: [x!, 0, dy!, scale!, out], ...shape, pieces });
    return out;
  });
}

function defineGated(define: Define, team: ThreadTeam): void {
  define(FUSED.gated, ({ gate, up }, _, backend) => {
    const out = backend.makeOutput(gate!.shape, 'float32');
    perform(team, backend, 'gated', { operands: [gate!, up!, out], ...rowsAndCols(gate!.shape) });
    return out;
  });
  define(FUSED.gatedGrad, ({ gate, up, dy }, { ofGate }, backend) => {
    const out = backend.makeOutput(gate!.shape, 'float32');
    perform(team, backend, 'gatedGrad', {
      operands: [gate!, up!, dy!, ofGate ? out : 0, ofGate ? 0 : out],
      ...rowsAndCols(gate!.shape),
    });
    return out;
  });
}

function defineSoftmax(define: Define, team: ThreadTeam): void {
  define(FUSED.causalSoftmax, ({ x }, { scale, before }, backend) => {
    const out = backend.makeOutput(x!.shape, 'float32');
    perform(team, backend, 'causalSoftmax', {
      operands: [x!, out, before!],
      ...rowsAndCols(x!.shape),
      period: x!.shape.at(-2)!,
      number: scale!,
    });
    return out;
  });
  define(FUSED.softmaxGrad, ({ y, dy }, { scale }, backend) => {
    const out = backend.makeOutput(y!.shape, 'float32');
    perform(team, backend, 'softmaxGrad', { operands: [y!, dy!, out], ...rowsAndCols(y!.shape), number: scale! });
    return out;
  });
}

function registerGradients(tf: Tf): void {
  const run = (name: string, inputs: Record<string, tfjs.Tensor>, attrs: Attrs = {}): tfjs.Tensor =>
    tf.engine().runKernel(name, inputs, attrs) as tfjs.Tensor;
  const saved = (tensors: tfjs.Tensor[], n: number): tfjs.Tensor => tensors[n]!;
  tf.registerGradient({
    kernelName: FUSED.rmsNorm,
    inputsToSave: ['x', 'weight'],
    outputsToSave: [false, true],
    gradFunc: (dys, kept) => {
      const dy = (dys as tfjs.Tensor[])[0]!;
      const [x, weight, scale] = [saved(kept, 0), saved(kept, 1), saved(kept, 2)];
      return {
        x: () => run(FUSED.rmsNormGrad, { x, weight, dy, scale }),
        weight: () => run(FUSED.rmsNormWeightGrad, { x, dy, scale }),
      };
    },
  });
  tf.registerGradient({
    kernelName: FUSED.gated,
    inputsToSave: ['gate', 'up'],
    gradFunc: (dy, kept) => {
      const inputs = { gate: saved(kept, 0), up: saved(kept, 1), dy: dy as tfjs.Tensor };
      return {
        gate: () => run(FUSED.gatedGrad, inputs, { ofGate: 1 }),
        up: () => run(FUSED.gatedGrad, inputs, { ofGate: 0 }),
      };
    },
  });
  tf.registerGradient({
    kernelName: FUSED.causalSoftmax,
    inputsToSave: [],
    outputsToSave: [true],
    gradFunc: (dy, kept, attrs) => ({
      x: () => run(FUSED.softmaxGrad, { y: saved(kept, 0), dy: dy as tfjs.Tensor }, { scale: Number(attrs['scale']) }),
    }),
  });
  tf.registerGradient({
    kernelName: FUSED.rope,
    inputsToSave: ['cos', 'sin'],
    gradFunc: (dy, kept, attrs) => {
      const constant = (): tfjs.Tensor => {
        throw new Error('rotary tables are constants: they have no gradient');
      };
      const back = { heads: Number(attrs['heads']), sign: -Number(attrs['sign']) };
      return {
        x: () => run(FUSED.rope, { x: dy as tfjs.Tensor, cos: saved(kept, 0), sin: saved(kept, 1) }, back),
        cos: constant,
        sin: constant,
      };
    },
  });
}
