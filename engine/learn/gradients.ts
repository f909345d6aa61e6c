/**
 * Gradients of a loss in a policy's named tensors, gathered into one flat array in the order of the flat variable and
 * summed over micro-batches. Where tfjs computes on the CPU the sum is a plain array outside its heap; on a GPU a tensor.
 */
import * as tf from '@tensorflow/tfjs';
import type { Segment, Trainable } from '../model/policy.ts';
import { freeingFailedTape } from './failed-tape.ts';
import { computesOnHost, hostView } from './host.ts';

export type NamedTensors = Readonly<Record<string, tf.Tensor>>;

/** The sum of gradients so far, [size]; exactly one of the two is used. */
export type FlatGradient = {
  readonly layout: readonly Segment[];
  readonly size: number;
  host: Float32Array | null;
  device: tf.Tensor1D | null;
};

export function newGradient(trainable: Trainable): FlatGradient {
  const host = computesOnHost() ? new Float32Array(trainable.size) : null;
  return { layout: trainable.layout, size: trainable.size, host, device: null };
}

export function disposeGradient(gradient: FlatGradient): void {
  gradient.device?.dispose();
  gradient.device = null;
}

/**
 * Adds d loss / d named to `sum` and returns the loss (a kept scalar). Tensors the loss does not depend on add nothing.
 * `loss` is run inside a tidy of tfjs's own: what it must hand out besides the loss, it keeps (tf.keep).
 */
export function addGradients(sum: FlatGradient, named: NamedTensors, loss: () => tf.Scalar): tf.Scalar {
  const segments = sum.layout.filter((segment) => named[segment.name]);
  return tf.tidy(() => {
    const { value, grads } = freeingFailedTape(() =>
      tf.engine().gradients(
        loss,
        segments.map((segment) => named[segment.name]),
        undefined,
        true,
      ),
    );
    const byName = new Map(segments.map((segment, i) => [segment.name, grads[i] as tf.Tensor | undefined]));
    if (sum.host) addOnHost(sum.host, sum.layout, byName);
    else addOnDevice(sum, byName);
    return tf.keep(value);
  });
}

function addOnHost(
  total: Float32Array,
  layout: readonly Segment[],
  grads: ReadonlyMap<string, tf.Tensor | undefined>,
): void {
  for (const { name, offset, size } of layout) {
    const grad = grads.get(name);
    if (!grad) continue;
    const view = hostView(grad) as Float32Array;
    for (let i = 0; i < size; i++) total[offset + i] += view[i];
  }
}

function addOnDevice(sum: FlatGradient, grads: ReadonlyMap<string, tf.Tensor | undefined>): void {
  const parts = sum.layout.map(({ name, size }) => grads.get(name)?.reshape([size]) ?? tf.zeros([size]));
  const flat = tf.concat1d(parts as tf.Tensor1D[]);
  const before = sum.device;
  sum.device = tf.keep(before ? (tf.add(before, flat) as tf.Tensor1D) : flat);
  before?.dispose();
}
