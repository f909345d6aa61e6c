/** For tests of trunks: weights drawn for any configuration, and an adapter on some of its linear layers. */
import * as tf from '@tensorflow/tfjs';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import type { Adapter } from './trunk.ts';

type Named = Record<string, tf.Tensor>;

/** The same for the same configuration. */
export function drawnWeights(config: ModelConfig): Named {
  let seed = 1;
  return Object.fromEntries(
    [...parameterShapes(config)].map(([name, shape]) => [
      name,
      tf.randomNormal([...shape], name.includes('norm') ? 1 : 0, 0.3, 'float32', seed++),
    ]),
  );
}

/** Pairs `<linear>.a` and `<linear>.b` of rank 3 for linear layers named so; others have none, so that both stand side by side. */
export function drawnPairs(config: ModelConfig, linears: RegExp): Named {
  const tensors: Named = {};
  for (const [name, [out, input]] of parameterShapes(config)) {
    const linear = name.replace(/[.]weight$/, '');
    if (linear === name || !linears.test(linear)) continue;
    tensors[`${linear}.a`] = tf.randomNormal([3, input], 0, 0.3, 'float32', out);
    tensors[`${linear}.b`] = tf.randomNormal([out, 3], 0, 0.3, 'float32', input);
  }
  return tensors;
}

/** An adapter of such pairs. */
export function adapterFrom(pairs: Readonly<Named>): Adapter {
  const layers: Record<string, { a: tf.Tensor2D; b: tf.Tensor2D }> = {};
  for (const name of Object.keys(pairs).filter((one) => one.endsWith('.a'))) {
    const linear = name.slice(0, -2);
    layers[linear] = { a: pairs[name] as tf.Tensor2D, b: pairs[`${linear}.b`] as tf.Tensor2D };
  }
  return { scale: 0.7, layers };
}
