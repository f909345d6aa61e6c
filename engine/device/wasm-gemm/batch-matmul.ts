/**
 * Puts our GEMM in the place of tfjs's BatchMatMul (and of its fused form) on the wasm backend. It works on tfjs's own
 * tensors in tfjs's own memory. The stock kernel is quick for one orientation only; every gradient needs the others.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { UserError } from '../../errors.ts';
import type { WasmBackend } from '../wasm-backend.ts';
import { replaceKernel } from '../replace-kernel.ts';
import type { Gemm } from './gemm.ts';

type Tf = typeof tfjs;
type Info = tfjs.TensorInfo;
type MatMulInputs = { a: Info; b: Info };
type MatMulAttrs = { transposeA: boolean; transposeB: boolean };
type FusedInputs = MatMulInputs & { bias?: Info; preluActivationWeights?: Info };
type FusedAttrs = MatMulAttrs & { activation: string; leakyreluAlpha?: number };

export function registerMatMul(tf: Tf, gemm: Gemm): void {
  const matMul = (inputs: MatMulInputs, attrs: MatMulAttrs, backend: WasmBackend): Info => {
    const { a, b } = inputs;
    const { transposeA, transposeB } = attrs;
    if (a.dtype !== 'float32' || b.dtype !== 'float32') {
      throw new Error(`BatchMatMul takes float32 tensors on wasm, not ${a.dtype} and ${b.dtype}`);
    }
    const [ar, ac] = a.shape.slice(-2) as [number, number];
    const [br, bc] = b.shape.slice(-2) as [number, number];
    const [m, k] = transposeA ? [ac, ar] : [ar, ac];
    const [kb, n] = transposeB ? [bc, br] : [br, bc];
    if (k !== kb) throw new Error(`BatchMatMul: inner sizes ${k} and ${kb} differ (shapes ${a.shape} and ${b.shape})`);
    const batch = broadcastBatch(a.shape.slice(0, -2), b.shape.slice(0, -2));
    const out = backend.makeOutput([...batch.shape, m, n], 'float32');
    gemm.multiply({
      a: backend.dataIdMap.get(a.dataId).memoryOffset,
      b: backend.dataIdMap.get(b.dataId).memoryOffset,
      c: backend.dataIdMap.get(out.dataId).memoryOffset,
      m, n, k, transposeA, transposeB, indexA: batch.indexA, indexB: batch.indexB,
    }); // prettier-ignore
    return out;
  };
  replaceKernel(tf, 'BatchMatMul', ({ inputs, attrs, backend }) =>
    matMul(inputs as MatMulInputs, attrs as unknown as MatMulAttrs, backend as WasmBackend),
  );
  replaceKernel(tf, '_FusedMatMul', ({ inputs, attrs, backend }) =>
    fused(tf, inputs as FusedInputs, attrs as unknown as FusedAttrs, backend as WasmBackend, matMul),
  );
}

/** Product, then bias and activation by tfjs's own kernels, which are elementwise and quick. */
function fused(
  tf: Tf,
  inputs: FusedInputs,
  attrs: FusedAttrs,
  backend: WasmBackend,
  matMul: (inputs: MatMulInputs, attrs: MatMulAttrs, backend: WasmBackend) => Info,
): Info {
  const kernel = (name: string, kernelInputs: Record<string, Info>, kernelAttrs: Record<string, number> = {}): Info =>
    tf.getKernel(name, 'wasm').kernelFunc({ inputs: kernelInputs, attrs: kernelAttrs, backend }) as Info;
  let out = matMul(inputs, attrs, backend);
  const then = (next: Info): void => {
    backend.disposeData(out.dataId);
    out = next;
  };
  if (inputs.bias) then(kernel('Add', { a: out, b: inputs.bias }));
  switch (attrs.activation) {
    case 'linear':
      break;
    case 'relu':
      then(kernel('Relu', { x: out }));
      break;
    case 'relu6':
      then(kernel('Relu6', { x: out }));
      break;
    case 'elu':
      then(kernel('Elu', { x: out }));
      break;
    case 'sigmoid':
      then(kernel('Sigmoid', { x: out }));
      break;
    case 'leakyrelu':
      then(kernel('LeakyRelu', { x: out }, { alpha: attrs.leakyreluAlpha ?? 0.2 }));
      break;
    case 'prelu':
      then(kernel('Prelu', { x: out, alpha: inputs.preluActivationWeights! }));
      break;
    default:
      throw new UserError(`a fused matrix product on wasm knows no activation "${attrs.activation}"`);
  }
  return out;
}

export type BroadcastBatch = { readonly shape: number[]; readonly indexA: number[]; readonly indexB: number[] };

/** The outer dimensions of a product, and which matrix of each operand every item takes; sizes of 1 repeat. */
export function broadcastBatch(a: readonly number[], b: readonly number[]): BroadcastBatch {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  for (let d = 0; d < rank; d++) {
    const [da, db] = [a[d - rank + a.length] ?? 1, b[d - rank + b.length] ?? 1];
    if (da !== db && da !== 1 && db !== 1) throw new Error(`batch shapes ${a} and ${b} do not broadcast`);
    shape.push(da === 1 ? db : da);
  }
  return { shape, indexA: matrixIndex(a, shape), indexB: matrixIndex(b, shape) };
}

function matrixIndex(own: readonly number[], shape: readonly number[]): number[] {
  let index = [0];
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    const size = own[d - shape.length + own.length] ?? 1;
    const step = size === 1 ? 0 : stride;
    index = Array.from({ length: shape[d]! }, (_, i) => index.map((rest) => rest + i * step)).flat();
    stride *= size;
  }
  return index;
}
