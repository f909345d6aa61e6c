/**
 * One mini-batch of PPO: its loss micro-batch by micro-batch, the summed gradient, and what each token looked like on the
 * way. Weights are over the whole mini-batch, so the cut into micro-batches never changes the gradient.
 */
import * as tf from '@tensorflow/tfjs';
import { chosenLogprobs } from '../model/head.ts';
import type { Policy, Trainable } from '../model/policy.ts';
import { headWeight } from '../model/trunk.ts';
import type { PpoSettings } from '../protocol.ts';
import { responseHidden, stopGradient, stopIfCancelled, valuesOf, type Hooks } from './forward.ts';
import { addGradients, disposeGradient, newGradient, type FlatGradient, type NamedTensors } from './gradients.ts';
import { klTensor } from './kl.ts';
import { policyLoss, valueLoss } from './losses.ts';
import { packMicroBatches, putTokens, takeTokens, type MicroBatch } from './microbatch.ts';
import type { Sequence } from './records.ts';

/** Flat per-token inputs of the update, [n] each. */
export type TokenInputs = {
  readonly starts: Uint32Array;
  /** Log-probs under the policy before the update; where `fresh`, they are this forward pass's own. */
  readonly oldLogprobs: Float32Array;
  readonly values: Float32Array;
  readonly behaviour: Float32Array;
  readonly reference: Float32Array | null;
  readonly advantages: Float32Array;
  readonly returns: Float32Array;
  /** What each token's policy loss counts (see `fillTokenWeights`). */
  readonly weights: Float32Array;
};

export type MiniBatch = {
  readonly sequences: readonly Sequence[];
  /** Indices of the mini-batch's sequences. */
  readonly members: readonly number[];
  readonly inputs: TokenInputs;
  /** Nothing was updated since these tokens' old numbers were due: take this forward's own, and the ratio is 1. */
  readonly fresh: boolean;
  /** Train the value head alone. */
  readonly criticOnly: boolean;
  readonly settings: PpoSettings;
};

/** Flat per-token results, filled at the mini-batch's tokens. */
export type Seen = { readonly logprobs: Float32Array; readonly entropy: Float32Array; readonly values: Float32Array };

type Outputs = { logprobs: tf.Tensor1D; entropy: tf.Tensor1D; values: tf.Tensor1D | null };

/** The mini-batch's gradient (the caller disposes it); fills `seen`. */
export async function miniBatchGradient(
  policy: Policy,
  mini: MiniBatch,
  seen: Seen,
  budget: number,
  hooks: Hooks,
  report: (done: number, total: number) => void,
): Promise<FlatGradient> {
  const trainable = policy.trainable as Trainable;
  const sum = newGradient(trainable);
  const named = policy.cut();
  const micros = packMicroBatches(mini.sequences, mini.members, budget);
  try {
    for (const [i, micro] of micros.entries()) {
      stopIfCancelled(hooks, 'The update');
      const outputs = gradientOfMicroBatch(policy, mini, micro, named, sum);
      await keepSeen(outputs, seen, mini.inputs.starts, micro);
      report(i + 1, micros.length);
      await hooks.yieldToEvents();
    }
    return sum;
  } catch (error) {
    disposeGradient(sum);
    throw error;
  } finally {
    tf.dispose(named);
  }
}

function gradientOfMicroBatch(
  policy: Policy,
  mini: MiniBatch,
  micro: MicroBatch,
  named: NamedTensors,
  sum: FlatGradient,
): Outputs {
  const outputs: Partial<Outputs> = {};
  try {
    const loss = mini.criticOnly
      ? criticGradient(policy, mini, micro, named, sum, outputs)
      : addGradients(sum, named, () => microBatchLoss(policy, mini, micro, named, outputs));
    loss.dispose();
    return outputs as Outputs;
  } catch (error) {
    tf.dispose(outputs as tf.NamedTensorMap);
    throw error;
  }
}

/** The trunk runs outside the tape: only the head's two tensors learn. */
function criticGradient(
  policy: Policy,
  mini: MiniBatch,
  micro: MicroBatch,
  named: NamedTensors,
  sum: FlatGradient,
  outputs: Partial<Outputs>,
): tf.Scalar {
  const using = policy.using(named);
  const head = policy.valueHead(named)!;
  const hidden = tf.tidy(() => responseHidden(policy, micro, using));
  try {
    const scores = tf.tidy(() =>
      keepBoth(
        chosenLogprobs(hidden, headWeight(policy.trunk.config, using.weights), micro.ids, {
          entropyGradient: false,
          trainHead: false,
        }),
        outputs,
      ),
    );
    tf.dispose(scores);
    return addGradients(sum, named, () => {
      const values = valuesOf(hidden, head, 'head');
      outputs.values = tf.keep(values.clone());
      return valueTerm(values, mini, micro);
    });
  } finally {
    hidden.dispose();
  }
}

function keepBoth(
  { logprobs, entropy }: Outputs | { logprobs: tf.Tensor1D; entropy: tf.Tensor1D },
  outputs: Partial<Outputs>,
): void {
  outputs.logprobs = tf.keep(logprobs.clone());
  outputs.entropy = tf.keep(entropy.clone());
}

/** policy loss - entropyCoef · entropy + klCoef · KL + valueCoef · value loss, of the micro-batch's share. Fills `outputs` with kept tensors. */
function microBatchLoss(
  policy: Policy,
  mini: MiniBatch,
  micro: MicroBatch,
  named: NamedTensors,
  outputs: Partial<Outputs>,
): tf.Scalar {
  const { inputs, settings } = mini;
  const using = policy.using(named);
  const hidden = responseHidden(policy, micro, using); // [n, d]
  const weight = headWeight(policy.trunk.config, using.weights);
  const trainHead = Object.values(named).includes(weight);
  const { logprobs, entropy } = chosenLogprobs(hidden, weight, micro.ids, {
    entropyGradient: settings.entropyCoef !== 0,
    trainHead,
  });
  keepBoth({ logprobs, entropy }, outputs);
  const take = (flat: Float32Array) => takeTokens(flat, inputs.starts, micro);
  const weights = tf.tensor1d(take(inputs.weights));
  const old =
    mini.fresh && settings.oldLogprobs === 'recompute' ? stopGradient(logprobs) : tf.tensor1d(take(inputs.oldLogprobs));
  let perToken = policyLoss(logprobs, old, take(inputs.advantages), settings);
  if (settings.importanceCap > 0)
    perToken = tf.mul(perToken, importanceWeights(old, tf.tensor1d(take(inputs.behaviour)), settings.importanceCap));
  if (settings.entropyCoef !== 0) perToken = tf.sub(perToken, tf.mul(entropy, settings.entropyCoef));
  if (settings.kl.place === 'loss' && inputs.reference)
    perToken = tf.add(
      perToken,
      tf.mul(klTensor(logprobs, tf.tensor1d(take(inputs.reference)), settings.kl.kind), settings.kl.coef),
    );
  const total = tf.sum(tf.mul(perToken, weights)) as tf.Scalar;
  if (!(settings.valueCoef > 0)) return total;
  const values = valuesOf(hidden, policy.valueHead(named)!, settings.valueGradient);
  outputs.values = tf.keep(values.clone());
  return tf.add(total, valueTerm(values, mini, micro)) as tf.Scalar;
}

/** Truncated importance weights min(pi_old / mu, cap): how much likelier a token was to the trainer than to the sampler. // [n] */
export function importanceWeights(old: tf.Tensor1D, behaviour: tf.Tensor1D, cap: number): tf.Tensor1D {
  return tf.minimum(tf.exp(tf.clipByValue(tf.sub(old, behaviour), -20, 20)), cap) as tf.Tensor1D;
}

/** valueCoef · the micro-batch's share of the value loss, a token mean whatever the policy loss's aggregation. */
function valueTerm(values: tf.Tensor1D, { inputs, members, fresh, settings }: MiniBatch, micro: MicroBatch): tf.Scalar {
  const take = (flat: Float32Array) => takeTokens(flat, inputs.starts, micro);
  const old = fresh ? stopGradient(values) : tf.tensor1d(take(inputs.values));
  const tokens = members.reduce((sum, r) => sum + inputs.starts[r + 1] - inputs.starts[r], 0);
  return tf.mul(
    tf.sum(valueLoss(values, old, take(inputs.returns), settings.valueClip)),
    settings.valueCoef / tokens,
  ) as tf.Scalar;
}

async function keepSeen(
  { logprobs, entropy, values }: Outputs,
  seen: Seen,
  starts: Uint32Array,
  micro: MicroBatch,
): Promise<void> {
  const pairs: [Float32Array, tf.Tensor1D | null][] = [[seen.logprobs, logprobs], [seen.entropy, entropy], [seen.values, values]]; // prettier-ignore
  for (const [flat, tensor] of pairs) {
    if (!tensor) continue;
    putTokens(flat, starts, micro, await tensor.data());
    tensor.dispose();
  }
}
