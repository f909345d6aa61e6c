/**
 * One optimiser step of supervised fine-tuning: the negative log-likelihood of responses given their prompts, a mean over
 * all response tokens of the batch. Prompts teach nothing. It shares the micro-batches, gradients and AdamW of PPO.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import { chosenLogprobs } from '../model/head.ts';
import type { Policy, Trainable } from '../model/policy.ts';
import { headWeight } from '../model/trunk.ts';
import type { SftReport, SftSettings } from '../protocol.ts';
import { adamwStep } from './adamw.ts';
import { responseHidden, stopIfCancelled, type Hooks } from './forward.ts';
import { countGoodStep, underScale } from './loss-scale.ts';
import { addGradients, disposeGradient, newGradient, type FlatGradient, type NamedTensors } from './gradients.ts';
import { longestInput, packMicroBatches, putTokens, withinMemory, type MicroBatch } from './microbatch.ts';
import { newMoments } from './moments.ts';
import { checkSequence, flatLayout, type Sequence } from './records.ts';
import { checkSft, rateFactor } from './settings.ts';

export type SftSequence = Sequence & { readonly role: string };

/** `step` counts from 0 and decides the learning rate. Throws a UserError for examples or settings that cannot be trained on. */
export async function fineTune(
  policy: Policy,
  examples: readonly SftSequence[],
  settings: SftSettings,
  step: number,
  hooks: Hooks,
): Promise<SftReport> {
  checkSft(settings);
  const trainable = policy.trainable;
  if (!trainable)
    throw new UserError(
      `The policy ${policy.spec.policy} is frozen and cannot be fine-tuned; choose a policy that trains.`,
    );
  const { vocab, contextLength } = policy.trunk.config;
  examples.forEach((example, i) => checkSequence(example, `Example ${i + 1}`, vocab, contextLength));
  const chosen = examples.filter(({ ids }) => ids.length > 0);
  if (chosen.length === 0)
    throw new UserError(
      `There is no response to learn from in ${examples.length} examples; give each example a response.`,
    );
  const notes: string[] = [];
  const logprobs = new Float32Array(flatLayout(chosen).tokens);
  const rates = { trunk: settings.lr * rateFactor(step, settings), value: null };
  const gradNorm = await underScale(policy, notes, async () => {
    const gradient = await withinMemory(policy, settings.tokenBudget, longestInput(chosen), notes, (budget) =>
      batchGradient(policy, trainable, chosen, logprobs, budget, hooks),
    );
    policy.moments ??= newMoments(trainable.size);
    try {
      return await adamwStep(trainable, policy.moments, gradient, { ...settings, rates });
    } finally {
      disposeGradient(gradient);
      policy.changed();
    }
  });
  const lossScale = policy.lossScale?.scale;
  if (Number.isFinite(gradNorm)) countGoodStep(policy);
  else
    notes.push(
      `the step was skipped: its gradient is not finite (norm ${gradNorm}); lower the learning rate if this comes again`,
    );
  return {
    ...{ ...losses(chosen, logprobs), trainedTokens: logprobs.length, gradNorm, notes },
    ...(lossScale === undefined ? {} : { lossScale }),
  };
}

async function batchGradient(
  policy: Policy,
  trainable: Trainable,
  examples: readonly SftSequence[],
  logprobs: Float32Array,
  budget: number,
  hooks: Hooks,
): Promise<FlatGradient> {
  const { starts, tokens } = flatLayout(examples);
  const micros = packMicroBatches(examples, examples.map((_, i) => i), budget); // prettier-ignore
  const sum = newGradient(trainable);
  const named = policy.cut();
  try {
    for (const [i, micro] of micros.entries()) {
      stopIfCancelled(hooks, 'Fine-tuning');
      const scored = microBatchGradient(policy, micro, named, sum, tokens);
      putTokens(logprobs, starts, micro, await scored.data());
      scored.dispose();
      hooks.onProgress('fine-tune', i + 1, micros.length);
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

/** Adds the micro-batch's gradient; returns its log-probs, kept. // [n] */
function microBatchGradient(
  policy: Policy,
  micro: MicroBatch,
  named: NamedTensors,
  sum: FlatGradient,
  tokens: number,
): tf.Tensor1D {
  let kept: tf.Tensor1D | null = null;
  try {
    const loss = addGradients(sum, named, () => {
      const using = policy.using(named);
      const weight = headWeight(policy.trunk.config, using.weights);
      const options = { entropyGradient: false, trainHead: Object.values(named).includes(weight) };
      const { logprobs } = chosenLogprobs(responseHidden(policy, micro, using), weight, micro.ids, options);
      kept = tf.keep(logprobs.clone());
      return tf.mul(tf.sum(logprobs), -1 / tokens) as tf.Scalar;
    });
    loss.dispose();
    return kept!;
  } catch (error) {
    (kept as tf.Tensor1D | null)?.dispose();
    throw error;
  }
}

function losses(examples: readonly SftSequence[], logprobs: Float32Array): Pick<SftReport, 'loss' | 'roles'> {
  const sums = new Map<string, { sum: number; tokens: number }>();
  let at = 0;
  let total = 0;
  for (const { role, ids } of examples) {
    const own = sums.get(role) ?? { sum: 0, tokens: 0 };
    sums.set(role, own);
    for (let t = 0; t < ids.length; t++, at++) {
      own.sum -= logprobs[at];
      total -= logprobs[at];
    }
    own.tokens += ids.length;
  }
  const roles = Object.fromEntries([...sums].map(([role, { sum, tokens }]) => [role, { loss: sum / tokens, tokens }]));
  return { loss: total / logprobs.length, roles };
}
