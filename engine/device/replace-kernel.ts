/**
 * Replaces kernels of tfjs's wasm backend. tfjs's own stay at hand for what ours do not cover, and keep their setup, which
 * binds them to the module each time a backend is opened. Gradients are registered apart and stay as they are.
 */
import type { KernelConfig, KernelFunc } from '@tensorflow/tfjs';
import type { Tf } from './device.ts';

const stock = new Map<string, KernelConfig>();

/** tfjs's own kernel, whatever stands in its place now. */
export function stockKernel(tf: Tf, kernelName: string): KernelFunc {
  return original(tf, kernelName).kernelFunc;
}

export function replaceKernel(tf: Tf, kernelName: string, kernelFunc: KernelFunc): void {
  const before = original(tf, kernelName);
  if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
  tf.registerKernel({ ...before, kernelFunc });
}

/** Puts back every kernel of tfjs's own. */
export function restoreKernels(tf: Tf): void {
  for (const config of stock.values()) {
    tf.unregisterKernel(config.kernelName, 'wasm');
    tf.registerKernel(config);
  }
}

function original(tf: Tf, kernelName: string): KernelConfig {
  let config = stock.get(kernelName);
  if (!config) {
    const missing: KernelFunc = () => {
      throw new Error(`tfjs's wasm backend has no kernel ${kernelName}`);
    };
    config = tf.getKernel(kernelName, 'wasm') ?? { kernelName, backendName: 'wasm', kernelFunc: missing };
    stock.set(kernelName, config);
  }
  return config;
}
