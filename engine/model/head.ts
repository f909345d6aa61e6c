/**
 * Log-probs and entropies of given tokens from final hidden states, without ever holding the logits of all of them. Rows are
 * taken in chunks; the backward pass computes each chunk's logits again. On WebGPU hand-written kernels do it. It knows
 * neither prompts nor losses.
 * n response tokens, d hidden size, V vocabulary; natural logarithms.
 */
import * as tf from '@tensorflow/tfjs';
import { fusedHeadFits, fusedScores } from '../webgpu/fused-head.ts';
import { handWrittenGpu } from './choose-trunk.ts';

export type HeadOptions = {
  /** Whether gradients flow through the entropies; they are returned either way. */
  readonly entropyGradient: boolean;
  /** Whether the head matrix gets a gradient; without it the dearest product of the backward pass is left out. */
  readonly trainHead: boolean;
  /** Most bytes one chunk of logits may take, where plain operations compute it. */
  readonly chunkBytes?: number;
};

export type TokenScores = { readonly logprobs: tf.Tensor1D; readonly entropy: tf.Tensor1D };

const CHUNK_BYTES = 64 * 2 ** 20;

type Chunk = { readonly begin: number; readonly rows: number };

/**
 * log softmax(hidden · headWeightᵀ) at `ids`, and the entropy of each row's distribution.
 * hidden: [n, d]; headWeight: [V, d]; ids: [n]; both results: [n]. Differentiable in hidden and (if asked) headWeight.
 * Backward of row i with a = dL/d logp, h = dL/dH: dz = a(1[v = id] - p) - h p (ln p + H).
 */
export function chosenLogprobs(
  hidden: tf.Tensor2D,
  headWeight: tf.Tensor2D,
  ids: Int32Array,
  options: HeadOptions,
): TokenScores {
  if (hidden.shape[0] !== ids.length) throw new Error(`${hidden.shape[0]} hidden states for ${ids.length} tokens`);
  const gpu = fusedHeadFits(headWeight) ? handWrittenGpu() : null;
  const scored = gpu
    ? fusedScores(gpu, hidden, headWeight, ids, options)
    : plainScores(hidden, headWeight, ids, options);
  return { logprobs: column(scored, 0), entropy: column(scored, 1) };
}

/** [n, 2] */
function plainScores(hidden: tf.Tensor2D, headWeight: tf.Tensor2D, ids: Int32Array, options: HeadOptions): tf.Tensor2D {
  const chunks = chunksOf(ids.length, headWeight.shape[0], options.chunkBytes ?? CHUNK_BYTES);
  // One chunk is all there may ever be, so where everything fits in it the probabilities are kept for the backward pass.
  const whole = chunks.length === 1;
  const op = tf.customGrad((...inputs) => {
    const save = inputs.pop() as tf.GradSaveFunc;
    const [x, weight = headWeight] = inputs as tf.Tensor2D[];
    const parts = chunks.map((chunk) => tidied(() => scoreChunk(rowsOf(x, chunk), weight, idsOf(ids, chunk), whole)));
    const value = concatRows(parts.map((part) => part.scores)); // [n, 2]
    save([x, weight, value, ...parts.flatMap((part) => part.probabilities ?? [])]);
    return {
      value,
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => backward(dy as tf.Tensor2D, saved, ids, chunks, options),
    };
  });
  return (options.trainHead ? op(hidden, headWeight) : op(hidden)) as tf.Tensor2D;
}

/** ids [n, count] int32 and their log-probs [n, count], the likeliest first. */
export type Likeliest = [ids: tf.Tensor2D, logprobs: tf.Tensor2D];

/** The `count` likeliest tokens of every row's distribution; no more than the vocabulary has. Not differentiable. */
export function likeliest(hidden: tf.Tensor2D, headWeight: tf.Tensor2D, count: number): Likeliest {
  const most = Math.min(count, headWeight.shape[0]);
  const parts = chunksOf(hidden.shape[0], headWeight.shape[0], CHUNK_BYTES).map((chunk) =>
    tf.tidy(() => {
      const logits = tf.matMul(rowsOf(hidden, chunk), headWeight, false, true) as tf.Tensor2D; // [c, V]
      const { values, indices } = tf.topk(logits, most);
      return [indices, tf.sub(values, tf.logSumExp(logits, 1, true))] as Likeliest;
    }),
  );
  return [concatRows(parts.map(([ids]) => ids)), concatRows(parts.map(([, logprobs]) => logprobs))];
}

type ChunkScores = { readonly scores: tf.Tensor2D; readonly probabilities: tf.Tensor2D | null };

function scoreChunk(x: tf.Tensor2D, weight: tf.Tensor2D, ids: Int32Array, keepProbabilities: boolean): ChunkScores {
  const logits = tf.matMul(x, weight, false, true); // [c, V]
  const shifted = tf.sub(logits, tf.max(logits, 1, true)) as tf.Tensor2D;
  const exps = tf.exp(shifted);
  const sums = tf.sum(exps, 1, true); // [c, 1]
  const logSums = tf.log(sums);
  const entropy = tf.sub(logSums, tf.div(tf.sum(tf.mul(exps, shifted), 1, true), sums)) as tf.Tensor2D;
  const logprobs = tf.sub(pick(shifted, ids), logSums) as tf.Tensor2D;
  const probabilities = keepProbabilities ? (tf.div(exps, sums) as tf.Tensor2D) : null;
  return { scores: tf.concat2d([logprobs, entropy], 1), probabilities };
}

function backward(
  dy: tf.Tensor2D,
  saved: readonly tf.Tensor[],
  ids: Int32Array,
  chunks: readonly Chunk[],
  options: HeadOptions,
): tf.Tensor[] {
  const [hidden, weight, scores, kept] = saved as tf.Tensor2D[];
  const dHidden: tf.Tensor2D[] = [];
  let dWeight: tf.Tensor2D | null = null;
  for (const chunk of chunks) {
    const { dx, dw } = tidied(() => {
      const x = rowsOf(hidden, chunk);
      const chunkIds = idsOf(ids, chunk);
      const probabilities = kept ?? (scoreChunk(x, weight, chunkIds, true).probabilities as tf.Tensor2D);
      const dz = logitGradient(rowsOf(dy, chunk), probabilities, rowsOf(scores, chunk), chunkIds, options);
      return {
        dx: tf.matMul(dz, weight) as tf.Tensor2D,
        dw: options.trainHead ? (tf.matMul(dz, x, true) as tf.Tensor2D) : null,
      };
    });
    dHidden.push(dx);
    if (dw) dWeight = addInto(dWeight, dw);
  }
  return dWeight ? [concatRows(dHidden), dWeight] : [concatRows(dHidden)];
}

/** dz [c, V] of one chunk. */
function logitGradient(
  dy: tf.Tensor2D,
  p: tf.Tensor2D,
  scores: tf.Tensor2D,
  ids: Int32Array,
  options: HeadOptions,
): tf.Tensor2D {
  const a = tf.slice2d(dy, [0, 0], [-1, 1]); // [c, 1]
  // As int32 and then cast: tfjs's wasm backend writes integer ones into a float32 result.
  const chosen = tf.cast(tf.oneHot(tf.tensor1d(ids, 'int32'), p.shape[1]), 'float32'); // [c, V]
  const dz = tf.mul(tf.sub(chosen, p), a) as tf.Tensor2D;
  if (!options.entropyGradient) return dz;
  const h = tf.slice2d(dy, [0, 1], [-1, 1]);
  const entropy = tf.slice2d(scores, [0, 1], [-1, 1]);
  // p ln p is 0 at p = 0; the floor only keeps the logarithm finite there.
  const spread = tf.mul(p, tf.add(tf.log(tf.maximum(p, 1e-30)), entropy));
  return tf.sub(dz, tf.mul(spread, h)) as tf.Tensor2D;
}

/** x[i, ids[i]] of a [c, V] matrix, as [c, 1]. */
function pick(x: tf.Tensor2D, ids: Int32Array): tf.Tensor2D {
  const vocab = x.shape[1];
  const flat = tf.tensor1d(
    ids.map((id, row) => row * vocab + id),
    'int32',
  );
  return tf.gather(tf.reshape(x, [-1]), flat).reshape([-1, 1]);
}

/** tf.tidy for a record of tensors, which its own type does not admit. */
function tidied<T extends object>(compute: () => T): T {
  return tf.tidy(compute as unknown as () => tf.TensorContainer) as unknown as T;
}

function chunksOf(rows: number, vocab: number, bytes: number): Chunk[] {
  const size = Math.max(1, Math.floor(bytes / (4 * vocab)));
  const chunks: Chunk[] = [];
  for (let begin = 0; begin < rows; begin += size) chunks.push({ begin, rows: Math.min(size, rows - begin) });
  return chunks;
}

function rowsOf(x: tf.Tensor2D, { begin, rows }: Chunk): tf.Tensor2D {
  return begin === 0 && rows === x.shape[0] ? x : tf.slice2d(x, [begin, 0], [rows, -1]);
}

function idsOf(ids: Int32Array, { begin, rows }: Chunk): Int32Array {
  return ids.subarray(begin, begin + rows);
}

function column(x: tf.Tensor2D, index: 0 | 1): tf.Tensor1D {
  return tf.slice2d(x, [0, index], [-1, 1]).reshape([-1]);
}

function concatRows(parts: readonly tf.Tensor2D[]): tf.Tensor2D {
  if (parts.length === 1) return parts[0];
  const whole = tf.concat2d([...parts], 0);
  for (const part of parts) part.dispose();
  return whole;
}

function addInto(sum: tf.Tensor2D | null, part: tf.Tensor2D): tf.Tensor2D {
  if (!sum) return part;
  const total = tf.add(sum, part) as tf.Tensor2D;
  sum.dispose();
  part.dispose();
  return total;
}
