/**
 * Identity, and casts that change nothing, by reference. tfjs's wasm backend copies there, and its tape takes an identity
 * of every tensor it saves for the backward pass, so half the memory of a training step would be copies. Data is counted by
 * reference already (reshape shares it too); whoever writes into a tensor in place must own it alone.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { replaceKernel, stockKernel } from './replace-kernel.ts';
import type { WasmBackend } from './wasm-backend.ts';

export function registerSharing(tf: typeof tfjs): void {
  const copy = { Identity: stockKernel(tf, 'Identity'), Cast: stockKernel(tf, 'Cast') };
  const share = (x: tfjs.TensorInfo, backend: WasmBackend): tfjs.TensorInfo => {
    backend.incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  };
  replaceKernel(tf, 'Identity', (args) => {
    const { x } = args.inputs as { x: tfjs.TensorInfo };
    return x.dtype === 'string' ? copy.Identity(args) : share(x, args.backend as WasmBackend);
  });
  replaceKernel(tf, 'Cast', (args) => {
    const { x } = args.inputs as { x: tfjs.TensorInfo };
    const { dtype } = args.attrs as unknown as { dtype: tfjs.DataType };
    return dtype === x.dtype && dtype !== 'string' ? share(x, args.backend as WasmBackend) : copy.Cast(args);
  });
}
