/** The engine under test: a model folder loaded on the open device, with a policy on it, and readings taken from both. */
import type * as tfjs from '@tensorflow/tfjs';
import { openModel } from '../../engine/formats/model-files.ts';
import type { LoraFiles } from '../../engine/formats/peft.ts';
import { loadBaseModel, type BaseModel } from '../../engine/model/base-model.ts';
import { makePolicy } from '../../engine/model/make-policy.ts';
import type { Policy, Segment, Trainable } from '../../engine/model/policy.ts';
import { headWeight, type ForwardWeights, type TokenBatch } from '../../engine/model/trunk.ts';
import type { FileSet, TrainMethod } from '../../engine/protocol.ts';

type Tf = typeof tfjs;

export async function loadModel(files: FileSet): Promise<BaseModel> {
  return loadBaseModel('golden', await openModel(files), () => {});
}

export function policyOn(base: BaseModel, method: TrainMethod): Policy & { readonly trainable: Trainable } {
  const policy = makePolicy({ policy: 'golden', model: 'golden', method, frozen: false, seed: 0 }, base);
  return policy as Policy & { readonly trainable: Trainable };
}

/** The method whose policy has exactly the adapter's tensors and scale. */
export function methodOf(adapter: LoraFiles): TrainMethod {
  return {
    kind: 'lora',
    rank: adapter.rank,
    alpha: adapter.scale * adapter.rank,
    targets: adapter.targets,
    layers: adapter.layers,
  };
}

/** Writes named values into the policy's flat variable; names without values keep theirs. */
export async function setTrainable(
  tf: Tf,
  policy: Policy & { readonly trainable: Trainable },
  values: (segment: Segment) => Promise<Float32Array | null>,
): Promise<void> {
  const all = (await policy.trainable.flat.data()) as Float32Array;
  const next = all.slice();
  for (const segment of policy.trainable.layout) {
    const given = await values(segment);
    if (given) next.set(given, segment.offset);
  }
  const tensor = tf.tensor1d(next);
  policy.trainable.flat.assign(tensor);
  tensor.dispose();
  policy.changed();
}

/** Logits of whole sequences. // [batch * length * vocab] */
export async function allLogits(
  tf: Tf,
  base: BaseModel,
  batch: TokenBatch,
  using: ForwardWeights,
): Promise<Float32Array> {
  const logits = tf.tidy(() => {
    const hidden = tf.reshape(base.trunk.forward(batch, using), [batch.batch * batch.length, base.config.hidden]);
    return tf.matMul(hidden, headWeight(base.config, using.weights), false, true);
  });
  const data = (await logits.data()) as Float32Array;
  logits.dispose();
  return data;
}

/** Logits of last hidden states. hidden: [rows, hidden] -> [rows * vocab] */
export async function headLogits(
  tf: Tf,
  base: BaseModel,
  hidden: tfjs.Tensor2D,
  using: ForwardWeights,
): Promise<Float32Array> {
  const logits = tf.tidy(() => tf.matMul(hidden, headWeight(base.config, using.weights), false, true));
  const data = (await logits.data()) as Float32Array;
  logits.dispose();
  return data;
}

/** One row's index of the largest number; the first where several are equal. */
export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}

/** Picks rows of a [rows, columns] array. */
export function takeRows(data: Float32Array, columns: number, rows: readonly number[]): Float32Array {
  const out = new Float32Array(rows.length * columns);
  rows.forEach((row, i) => out.set(data.subarray(row * columns, (row + 1) * columns), i * columns));
  return out;
}
