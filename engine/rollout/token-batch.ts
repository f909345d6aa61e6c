/** Prompts as one batch: what all begin with once, the rest right-padded. */
import * as tf from '@tensorflow/tfjs';
import { sharedLength } from '../model/row-layout.ts';
import type { TokenBatch } from '../model/trunk.ts';
import { LENGTH_STEP, roundUp } from './batches.ts';

/**
 * Right-padded, to a bucketed length where every new length would be compiled anew, behind what all begin with. `shareable`
 * is how much of each prompt may stand in the prefix; its last token never does.
 */
export function tokenBatch(prompts: readonly (readonly number[])[], shareable = Infinity): TokenBatch {
  const step = tf.getBackend() === 'webgpu' ? LENGTH_STEP : 1;
  const common = prompts.length > 1 ? sharedLength(prompts, shareable) : 0;
  const shared = common - (common % step);
  const lengths = Int32Array.from(prompts, (prompt) => prompt.length - shared);
  const length = roundUp(lengths.reduce((a, b) => Math.max(a, b), 1), step); // prettier-ignore
  const ids = new Int32Array(prompts.length * length);
  for (const [row, prompt] of prompts.entries()) ids.set(prompt.slice(shared), row * length);
  return { prefix: Int32Array.from(prompts[0].slice(0, shared)), ids, batch: prompts.length, length, lengths };
}
