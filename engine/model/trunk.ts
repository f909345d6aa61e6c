/**
 * The seam between the decoder and everything that uses it. A `Trunk` turns tokens into final hidden states (after the
 * last norm); heads, losses, sampling and optimisers stand above it and do not know how it computes. The plain tfjs trunk
 * is the fallback, the readable reference and the oracle; a faster one only has to keep this interface.
 */
import type * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import type { ActivationPrecision, KeyPrecision, WeightPrecision } from '../protocol.ts';
import type { Draw, RowSampling } from '../rollout/device-sample.ts';

/**
 * Right-padded sequences; whatever stands beyond `lengths[b]` is never attended to. What all of them begin with may stand
 * apart in `prefix` and is then computed once: `ids`, `length` and `lengths` tell of the rest, token t of which has the
 * position prefix.length + t, and rows of hidden states are those of the rest.
 */
export type TokenBatch = {
  readonly prefix?: Int32Array; // [shared], perhaps none
  readonly ids: Int32Array; // [batch * length]
  readonly batch: number;
  readonly length: number;
  readonly lengths: Int32Array; // [batch], at least 1 each
};

/** Named weights by their Hugging Face parameter name. */
export type Weights = Readonly<Record<string, tf.Tensor>>;

/** Low-rank additions by the name of the linear layer they stand on ("model.layers.3.self_attn.q_proj"). */
export type Adapter = {
  readonly scale: number;
  readonly layers: Readonly<Record<string, { readonly a: tf.Tensor2D; readonly b: tf.Tensor2D }>>; // a [rank, in], b [out, rank]
};

/** What one forward runs with: base or own weights, and perhaps an adapter. */
export type ForwardWeights = {
  readonly weights: Weights;
  readonly adapter: Adapter | null;
  /** How exact the weights are that a cache's steps read; 'f32' when absent. `forward` takes the weights themselves. */
  readonly rollout?: WeightPrecision;
  /** How exact the keys and values of a cache are; when absent, what the trunk prefers beside such weights. */
  readonly keys?: KeyPrecision;
  /** How exact what flows between kernels is, sampling and learning; 'f32' when absent. */
  readonly activations?: ActivationPrecision;
  /** What gradients are multiplied by on their way through the trunk, and divided by at its end; 1 when absent. */
  readonly lossScale?: number;
};

/** Preallocated keys and values of `slots` sequences, `capacity` positions each. A slot runs with what its prompt ran with. */
export interface Cache {
  readonly slots: number;
  readonly capacity: number;
  /** Positions filled so far, per slot. */
  readonly lengths: Int32Array;
  /** Nobody sits here any more, or before the next step: the slot still takes part in every step, at the least cost. */
  empty(slot: number): void;
  /** Keeps these slots, in this order, and frees the rest: a batch shrinks as its sequences finish. */
  select(slots: Int32Array): void;
  dispose(): void;
}

/** What a sequence asks of a cache: room for its prompt and all that may follow it. */
export type Wanted = { readonly promptIds: ArrayLike<number>; readonly span: number };

/** The head fused with sampling: a token of every slot is drawn, and logits exist only of rows that cut the distribution off. */
export interface Drawing {
  /** How many steps may be under way before the first of them is read. */
  readonly ahead: number;
  /** From the last hidden states of these slots. hidden: [slots.length, hidden] */
  first(cache: Cache, hidden: tf.Tensor2D, slots: Int32Array, rows: readonly RowSampling[]): Draw;
  /** Appends one token to every slot and draws the next. ids: [slots] int32 */
  next(cache: Cache, ids: tf.Tensor1D, rows: readonly RowSampling[]): Draw;
}

export interface Trunk {
  readonly config: ModelConfig;
  /** Null where only hidden states can be had. */
  readonly drawing: Drawing | null;
  /** Whether slots of one cache may run with different adapters, all on the same weights. */
  readonly mixes: boolean;
  /** What less exact weights than float32 caches may run on. */
  readonly packs: readonly WeightPrecision[];
  /** Whether their steps may pass on half floats. */
  readonly halves: boolean;
  /** Logits by the head of the weights a cache runs with; null where that is the float32 one itself. hidden: [rows, hidden] */
  readonly logits: ((cache: Cache, hidden: tf.Tensor2D) => tf.Tensor2D) | null;
  /** Bytes of one number of a cache whose slots run with this. */
  keyBytes(using: ForwardWeights): 2 | 4;
  /** Positions of a page where slots take their room by pages and share them; null where each has all its own from the beginning. */
  readonly page: number | null;
  /**
   * `voices`: what its slots will run with, where that is known; it saves compiling for each as it comes, and tells how exact
   * keys are to be. `positions`: how many there are in all, where slots take them by pages; enough for every slot when absent.
   */
  openCache(slots: number, capacity: number, voices?: readonly ForwardWeights[], positions?: number): Cache;
  /** How many of these, in this order, an open cache has pages for now; absent where a slot is all they need. */
  room?(cache: Cache, sequences: readonly Wanted[], using: ForwardWeights): number;
  /**
   * Fills these slots, without them all, from position 0, the prefix included; others stay as they are. Returns the hidden
   * state of each sequence's last token. `spans`: positions each may come to need, else the cache's capacity. // [batch, hidden]
   */
  prefill(
    cache: Cache,
    prompts: TokenBatch,
    using: ForwardWeights,
    slots?: Int32Array,
    spans?: readonly number[],
  ): tf.Tensor2D;
  /** Appends one token to every slot. ids: [slots] int32. // [slots, hidden] */
  decode(cache: Cache, ids: tf.Tensor1D): tf.Tensor2D;
  /** Differentiable in every tensor of `using`. // [batch, length, hidden] */
  forward(batch: TokenBatch, using: ForwardWeights): tf.Tensor3D;
  /** The same for some rows of [batch * length], each at most once: what only other rows need is not computed. // [rows, hidden] */
  forwardAt(batch: TokenBatch, rows: Int32Array, using: ForwardWeights): tf.Tensor2D;
  /** Measures how steps of so many slots run fastest with this, where the device is to be tuned; what was measured once is not again. */
  tune?(using: ForwardWeights, slots: number): Promise<void>;
  dispose(): void;
}

/** The matrix that turns hidden states into logits: lm_head, or the embedding where they are tied. // [vocab, hidden] */
export function headWeight(config: ModelConfig, weights: Weights): tf.Tensor2D {
  return (config.tied ? weights['model.embed_tokens.weight'] : weights['lm_head.weight']) as tf.Tensor2D;
}

/** Four bits are too few for the head: every token's chance is its own row's. GGUF files keep it finer too. */
export const headPrecision = <P extends WeightPrecision>(precision: P): P | 'q8' =>
  precision === 'q4' ? 'q8' : precision;
