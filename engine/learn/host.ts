/**
 * Direct access to a tensor's numbers where tfjs computes on the CPU. The wasm and cpu backends keep tensors in ordinary
 * memory, so a loop over a view costs neither a copy nor one temporary per operation; a GPU has no such view and gets null.
 */
import * as tf from '@tensorflow/tfjs';

type WasmBackend = {
  typedArrayFromHeap(info: { shape: readonly number[]; dtype: string; dataId: object }): Float32Array;
};

/** True where `hostView` returns a view. */
export function computesOnHost(): boolean {
  return tf.getBackend() === 'wasm' || tf.getBackend() === 'cpu';
}

/**
 * The tensor's own memory as float32, or null on a GPU. Writing to it changes the tensor. A view into the wasm heap dies
 * with the next allocation (the heap may grow and move): use it at once and drop it.
 */
export function hostView(tensor: tf.Tensor): Float32Array | null {
  const backend = tf.backend();
  if (tf.getBackend() === 'wasm') return (backend as unknown as WasmBackend).typedArrayFromHeap(tensor);
  if (tf.getBackend() === 'cpu') return backend.readSync(tensor.dataId) as Float32Array;
  return null;
}
