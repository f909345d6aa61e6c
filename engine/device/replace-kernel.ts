/**
 * Replaces kernels of tfjs's wasm backend, and adds our own. tfjs's stay at hand for what ours do not cover, and keep their
 * setup, which binds them to the module each time a backend is opened. Gradients are registered apart and stay as they are.
 */
import type { KernelConfig, KernelFunc } from '@tensorflow/tfjs';
import type { Tf } from './device.ts';

/** What stood under a name before us; null where nothing did. */
const stock = new Map<string, KernelConfig | null>();

/** tfjs's own kernel, whatever stands in its place now. */
export function stockKernel(tf: Tf, kernelName: string): KernelFunc {
  const config = original(tf, kernelName);
  if (!config) throw new Error(`tfjs's wasm backend has no kernel ${kernelName}`);
  return config.kernelFunc;
}

export function replaceKernel(tf: Tf, kernelName: string, kernelFunc: KernelFunc): void {
  const before = original(tf, kernelName);
  if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
  tf.registerKernel({ kernelName, backendName: 'wasm', ...before, kernelFunc });
}

/** Puts everything back as tfjs had it. */
export function restoreKernels(tf: Tf): void {
  for (const [kernelName, config] of stock) {
    if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
    if (config) tf.registerKernel(config);
  }
}

function original(tf: Tf, kernelName: string): KernelConfig | null {
  let config = stock.get(kernelName);
  if (config === undefined) {
    config = tf.getKernel(kernelName, 'wasm') ?? null;
    stock.set(kernelName, config);
  }
  return config;
}
