/**
 * Sampling on packed weights against what those weights stand for: they are unpacked here, in plain JavaScript, and the exact
 * trunk runs on the rounded numbers. Whatever rounding does to a model, the two must agree; and every token that was taken
 * greedily must be the likeliest of the exact trunk's, or as likely to within the error allowed.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { LINEAR_LAYERS } from '../../engine/formats/peft.ts';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { KeyValueCache } from '../../engine/model/cache.ts';
import { makeTfjsTrunk } from '../../engine/model/tfjs-trunk.ts';
import { headPrecision, headWeight, type Weights } from '../../engine/model/trunk.ts';
import type { Generation } from '../../engine/protocol.ts';
import { activeWasm } from '../../engine/device/wasm-machine.ts';
import { disposeMatrix, pack, unpackedReference as unpackedMatrix } from '../../engine/wasm/packed-weights.ts';
import { unpackedReference, type PackedPrecision } from '../../engine/webgpu/kernels/pack-weights.ts';
import { packed } from '../../engine/webgpu/kernels/packed-testing.ts';
import { largestError, type Checks } from './report.ts';

type Tf = typeof tfjs;
const ALLOWED = 1e-3;

/** `answers`: greedy ones on packed weights, with their prompts. */
export async function checkRounded(
  tf: Tf,
  base: BaseModel,
  answers: readonly Generation[],
  precision: PackedPrecision,
  checks: Checks,
): Promise<void> {
  const { weights, head, dispose } = await roundedWeights(tf, base, precision);
  let [worst, behind] = [0, 0];
  for (const { promptIds, ids, logprobs } of answers) {
    const read = activeWasm() ? logprobsAfterExactPrompt : logprobsOf;
    const wanted = await read(tf, base, { weights, head }, promptIds, ids);
    const { vocab } = base.config;
    const chosen = ids.map((id, t) => wanted[t * vocab + id]);
    worst = worse(worst, largestError(logprobs, chosen));
    const best = ids.map((_, t) => wanted.subarray(t * vocab, (t + 1) * vocab).reduce((a, b) => Math.max(a, b)));
    behind = worse(behind, largestError(chosen, best));
  }
  dispose();
  checks.measured(`log-probs on ${precision} weights against the same rounded`, worst, ALLOWED);
  checks.measured(`greedy ids on ${precision} weights, behind the likeliest`, behind, ALLOWED);
}

const worse = (a: number, b: number): number => (Number.isNaN(b) ? NaN : Math.max(a, b));

type Rounded = { readonly weights: Weights; readonly head: tfjs.Tensor2D };

/** Linear layers and the head rounded; the embedding is read as it is, also where it is the head. */
async function roundedWeights(
  tf: Tf,
  base: BaseModel,
  precision: PackedPrecision,
): Promise<Rounded & { dispose(): void }> {
  const made: tfjs.Tensor[] = [];
  const rounded = async (tensor: tfjs.Tensor, as: PackedPrecision): Promise<tfjs.Tensor> => {
    const own = tf.tensor(await roundedValues(tensor, as), tensor.shape);
    made.push(own);
    return own;
  };
  const weights: Record<string, tfjs.Tensor> = { ...base.weights };
  for (const [name, tensor] of Object.entries(base.weights))
    if (LINEAR_LAYERS.some((linear) => name.endsWith(`${linear}.weight`)))
      weights[name] = await rounded(tensor, precision);
  const head = await rounded(headWeight(base.config, base.weights), headPrecision(precision));
  return { weights, head: head as tfjs.Tensor2D, dispose: () => tf.dispose(made) };
}

/** As the open device packs them. */
async function roundedValues(tensor: tfjs.Tensor, as: PackedPrecision): Promise<Float32Array> {
  const machine = activeWasm();
  if (machine) {
    const matrix = pack(machine, tensor, as);
    const values = unpackedMatrix(matrix);
    disposeMatrix(matrix);
    return values;
  }
  const [rows, columns] = tensor.shape as [number, number];
  const words = await packed(as, [(await tensor.data()) as Float32Array], columns);
  return unpackedReference(as, words, rows, columns);
}

/** The same where prompts are read by the exact weights, as in WebAssembly: token by token on the plain trunk. */
async function logprobsAfterExactPrompt(
  tf: Tf,
  { config, weights: exact }: BaseModel,
  { weights, head }: Rounded,
  prompt: readonly number[],
  ids: readonly number[],
): Promise<Float32Array> {
  const trunk = makeTfjsTrunk(config);
  const cache = trunk.openCache(1, prompt.length + ids.length) as KeyValueCache;
  const batch = {
    ids: Int32Array.from(prompt),
    batch: 1,
    length: prompt.length,
    lengths: Int32Array.of(prompt.length),
  };
  const states = [trunk.prefill(cache, batch, { weights: exact, adapter: null })];
  cache.runWith({ weights, adapter: null });
  for (const id of ids.slice(0, -1)) states.push(tf.tidy(() => trunk.decode(cache, tf.tensor1d([id], 'int32'))));
  const logprobs = tf.tidy(() => tf.logSoftmax(tf.matMul(tf.concat2d(states, 0), head, false, true)));
  const data = (await logprobs.data()) as Float32Array;
  tf.dispose([...states, logprobs]);
  cache.dispose();
  trunk.dispose();
  return data;
}

/** Of every token there is, at every position of the response. // [ids.length * vocab] */
async function logprobsOf(
  tf: Tf,
  { trunk }: BaseModel,
  { weights, head }: Rounded,
  prompt: readonly number[],
  ids: readonly number[],
): Promise<Float32Array> {
  const all = Int32Array.from([...prompt, ...ids.slice(0, -1)]);
  const batch = { ids: all, batch: 1, length: all.length, lengths: Int32Array.of(all.length) };
  const rows = Int32Array.from(ids, (_, t) => prompt.length - 1 + t);
  const logprobs = tf.tidy(() => {
    const hidden = trunk.forwardAt(batch, rows, { weights, adapter: null });
    return tf.logSoftmax(tf.matMul(hidden, head, false, true));
  });
  const data = (await logprobs.data()) as Float32Array;
  logprobs.dispose();
  return data;
}
