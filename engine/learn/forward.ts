/**
 * From a micro-batch to what the losses need: hidden states at response positions, log-probs, entropies, values. Only
 * response positions pass through the heads. Also the passes without gradients that score finished responses.
 */
import * as tf from '@tensorflow/tfjs';
import { Cancelled } from '../errors.ts';
import { chosenLogprobs } from '../model/head.ts';
import type { Policy } from '../model/policy.ts';
import { headWeight, type ForwardWeights } from '../model/trunk.ts';
import { packMicroBatches, putTokens, type MicroBatch } from './microbatch.ts';
import { flatLayout, type Sequence } from './records.ts';

/** How long work reports, lets others run, and learns that it should stop. */
export type Hooks = {
  onProgress(phase: string, done: number, total: number): void;
  cancelled(): boolean;
  /** Lets messages and timers run between micro-batches. */
  yieldToEvents(): Promise<void>;
};

/** Called before each micro-batch. */
export function stopIfCancelled(hooks: Hooks, what: string): void {
  if (hooks.cancelled()) throw new Cancelled(what);
}

/** Hidden states that predict each response token. // [n, hidden] */
export function responseHidden(policy: Policy, micro: MicroBatch, using: ForwardWeights): tf.Tensor2D {
  return policy.trunk.forwardAt(micro.batch, micro.rows, using);
}

export type ValueHead = { readonly weight: tf.Tensor2D; readonly bias: tf.Tensor1D };

/** Values of hidden states, [n, d] -> [n]. With 'head' the gradient ends at the head and does not reach the trunk. */
export function valuesOf(hidden: tf.Tensor2D, head: ValueHead, through: 'trunk' | 'head'): tf.Tensor1D {
  const linear = (x: tf.Tensor2D, weight: tf.Tensor2D, bias: tf.Tensor1D) =>
    tf.add(tf.matMul(x, weight, false, true), bias).reshape([-1]) as tf.Tensor1D;
  if (through === 'trunk') return linear(hidden, head.weight, head.bias);
  const op = tf.customGrad((weight, bias, save) => {
    (save as tf.GradSaveFunc)([hidden]);
    return {
      value: linear(hidden, weight as tf.Tensor2D, bias as tf.Tensor1D),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => [
        tf.matMul(dy.reshape([1, -1]), saved[0] as tf.Tensor2D),
        tf.sum(dy).reshape([1]),
      ],
    };
  });
  return op(head.weight, head.bias) as tf.Tensor1D;
}

/** x as a constant: its gradient is zero. */
export function stopGradient(x: tf.Tensor1D): tf.Tensor1D {
  return tf.customGrad((input) => ({
    value: tf.clone(input as tf.Tensor1D),
    gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy),
  }))(x) as tf.Tensor1D;
}

/** Per-token numbers of all sequences, flat in the order given (see `flatLayout`); untouched where `indices` leaves one out. */
export type FlatScores = {
  readonly logprobs: Float32Array;
  readonly entropy: Float32Array;
  readonly values: Float32Array;
};

export type ScorePass = {
  readonly using: ForwardWeights;
  /** Values stay zero without it. */
  readonly valueHead: ValueHead | null;
  readonly phase: string;
};

/** Scores the sequences at `indices` without gradients, in micro-batches of `budget` tokens. */
export async function scoreSequences(
  policy: Policy,
  sequences: readonly Sequence[],
  indices: readonly number[],
  pass: ScorePass,
  budget: number,
  hooks: Hooks,
): Promise<FlatScores> {
  const { starts, tokens } = flatLayout(sequences);
  const out = {
    logprobs: new Float32Array(tokens),
    entropy: new Float32Array(tokens),
    values: new Float32Array(tokens),
  };
  const micros = packMicroBatches(sequences, indices, budget);
  for (const [i, micro] of micros.entries()) {
    stopIfCancelled(hooks, pass.phase);
    const scored = tf.tidy(() => scoreMicroBatch(policy, micro, pass));
    const read = (await scored.array()) as number[][];
    scored.dispose();
    putTokens(out.logprobs, starts, micro, read[0]);
    putTokens(out.entropy, starts, micro, read[1]);
    if (pass.valueHead) putTokens(out.values, starts, micro, read[2]);
    hooks.onProgress(pass.phase, i + 1, micros.length);
    await hooks.yieldToEvents();
  }
  return out;
}

/** Log-probs, entropies and (with a value head) values, stacked so that they are read back at once. // [2 or 3, n] */
function scoreMicroBatch(policy: Policy, micro: MicroBatch, { using, valueHead }: ScorePass): tf.Tensor2D {
  const hidden = responseHidden(policy, micro, using);
  const weight = headWeight(policy.trunk.config, using.weights);
  const { logprobs, entropy } = chosenLogprobs(hidden, weight, micro.ids, { entropyGradient: false, trainHead: false });
  return tf.stack(
    valueHead ? [logprobs, entropy, valuesOf(hidden, valueHead, 'head')] : [logprobs, entropy],
  ) as tf.Tensor2D;
}
