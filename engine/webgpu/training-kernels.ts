/** All kernels of the forward and backward pass of one model, as they are cut for an adapter. */
import type { ModelConfig } from '../formats/config.ts';
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
import type { Cut } from './sized-kernel.ts';

export type TrainingKernels = ReturnType<typeof trainingKernels>;

export function trainingKernels(config: ModelConfig, cut: Cut) {
  return {
    products: products(cut),
    norm: normRowsKernel(config.rmsEps, cut),
    normGrad: normRowsGradKernel(cut),
    columnSums: columnSumsKernel(cut),
    rotate: rotateRowsKernel(config.headDim, cut),
    swiglu: swigluKernel(cut),
    swigluGrad: swigluGradKernel(cut),
    take: takeRowsKernel(cut),
    embedGrad: embedGradKernel(cut),
    scores: scoreRowsKernel(config, cut),
    weigh: weighRowsKernel(config, cut),
    mixRows: mixRowsKernel(config, cut),
    mixKeys: mixKeysKernel(config, cut),
    rowDots: rowDotsKernel(config, cut),
  };
}
