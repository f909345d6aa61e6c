/**
 * All kernels of the forward and backward pass of one model, as they are cut for an adapter and for what flows between them.
 * Those that also meet the residual stream or a sum, which are always floats, are chosen by the tensors they are to take.
 */
import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { elementOf, type Activation } from './activation.ts';
import {
  mixKeysKernel,
  mixRowsKernel,
  rowDotsKernel,
  scoreRowsKernel,
  weighRowsKernel,
} from './kernels/attend-rows.ts';
import { columnSumsKernel } from './kernels/column-sums.ts';
import { normRowsGradKernel, normRowsKernel } from './kernels/norm-rows.ts';
import { rotateRowsKernel } from './kernels/rotate-rows.ts';
import { swigluGradKernel, swigluKernel } from './kernels/swiglu.ts';
import { embedGradKernel, takeRowsKernel } from './kernels/take-rows.ts';
import { products } from './record-product.ts';
import type { Cut, SizedKernel } from './sized-kernel.ts';

export type TrainingKernels = ReturnType<typeof trainingKernels>;

type Of = readonly Activation[];

/** The kernel for tensors like these, written when it is first asked for. */
function byTensors(write: (...elements: Of) => SizedKernel): (...tensors: readonly tf.Tensor[]) => SizedKernel {
  const written = new Map<string, SizedKernel>();
  return (...tensors) => {
    const elements = tensors.map(elementOf);
    const key = elements.map(({ one }) => one).join(' ');
    const kernel = written.get(key) ?? write(...elements);
    written.set(key, kernel);
    return kernel;
  };
}

export function trainingKernels(config: ModelConfig, cut: Cut, flow: Activation) {
  return {
    products: products(cut),
    /** By x and y. */
    norm: byTensors((x, y) => normRowsKernel(config.rmsEps, cut, x, y)),
    /** By x, dy and dx. */
    normGrad: byTensors((x, dy, dx) => normRowsGradKernel(cut, { x, dy, dx })),
    /** By dy and x, or dy alone. */
    columnSums: byTensors((dy, x) => columnSumsKernel(cut, dy, x)),
    rotate: rotateRowsKernel(config.headDim, cut, flow),
    swiglu: swigluKernel(cut, flow),
    swigluGrad: swigluGradKernel(cut, flow),
    /** By x, which y is like. */
    take: byTensors((x) => takeRowsKernel(cut, x)),
    embedGrad: embedGradKernel(cut),
    scores: scoreRowsKernel(config, cut, flow),
    weigh: weighRowsKernel(config, cut),
    mixRows: mixRowsKernel(config, cut, flow),
    mixKeys: mixKeysKernel(config, cut, flow),
    rowDots: rowDotsKernel(config, cut, flow),
  };
}
