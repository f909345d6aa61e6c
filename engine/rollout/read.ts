/** A tensor's numbers on the host by the cheapest way: a view where tfjs computes on the CPU, an awaited copy on a GPU. */
import type * as tf from '@tensorflow/tfjs';
import { hostView } from '../learn/host.ts';

/** The view dies with the next allocation on the device: use it at once. */
export async function hostNumbers(tensor: tf.Tensor): Promise<Float32Array> {
  return hostView(tensor) ?? ((await tensor.data()) as Float32Array);
}
