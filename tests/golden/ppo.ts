/**
 * A LoRA adapter made by PEFT and one PPO step on it: logits and log-probs with the adapter on, values, losses, their
 * gradients and norm, and every trainable tensor after one AdamW step. The fixture gives advantages, returns and the old
 * numbers, so this starts where an update has settled its rewards.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { readPeft } from '../../engine/formats/peft.ts';
import { adamwStep, globalNorm } from '../../engine/learn/adamw.ts';
import { addGradients, disposeGradient, newGradient } from '../../engine/learn/gradients.ts';
import { klEstimate } from '../../engine/learn/kl.ts';
import { policyLoss, policyLossOf, valueLoss } from '../../engine/learn/losses.ts';
import { newMoments } from '../../engine/learn/moments.ts';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { Policy, Segment, Trainable } from '../../engine/model/policy.ts';
import type { Fixture } from './fixture.ts';
import { gradientOf } from './gradient.ts';
import { largestError, relativeError, type Checks } from './report.ts';
import { allLogits, methodOf, policyOn, setTrainable, takeRows } from './subject.ts';
import { batchOf, GRADIENT_ALLOWED, LOGIT_ALLOWED, predictedTokens, scoreTokens, type Predicted } from './tiny.ts';

type Tf = typeof tfjs;
type Trained = Policy & { readonly trainable: Trainable };

/** The fixtures' settings, as their README gives them. */
const CLIP = { clip: 0.2, dualClip: 3 };
const VALUE_CLIP = 0.5;
const VALUE_COEF = 0.5;
const STEP = { rates: { trunk: 1e-3, value: 1e-3 }, weightDecay: 0.01, maxGradNorm: 1 };

export async function checkPpo(
  tf: Tf,
  base: BaseModel,
  adapterFolder: string,
  fixture: Fixture,
  checks: Checks,
): Promise<void> {
  const adapter = await readPeft(await filesAt(adapterFolder), base.config);
  const policy = policyOn(base, methodOf(adapter));
  await setTrainable(tf, policy, async ({ name }) => {
    const pair = adapter.pairs.get(name.replace(/\.lora_[AB]$/, ''));
    if (pair) return name.endsWith('.lora_A') ? pair.a : pair.b;
    return fixture.floats(`before.${name}`);
  });
  const batch = await batchOf(fixture);
  const predicted = predictedTokens(batch);
  checks.measured(
    'LoRA logits',
    largestError(await allLogits(tf, base, batch, policy.using()), await fixture.floats('logits')),
    LOGIT_ALLOWED,
  );
  await checkBefore(policy, fixture, checks);
  await checkStep(tf, base, policy, fixture, predicted, checks);
  policy.dispose();
}

/** PEFT's name of one of our segments in these fixtures. */
function fixtureName(kind: 'before' | 'after' | 'grad', { name }: Segment): string {
  return /\.lora_[AB]$/.test(name) ? `${kind}.base_model.model.${name}.default.weight` : `${kind}.${name}`;
}

async function checkBefore(policy: Trained, fixture: Fixture, checks: Checks): Promise<void> {
  const flat = await policy.trainable.flat.data();
  let worst = 0;
  for (const segment of policy.trainable.layout)
    worst = Math.max(
      worst,
      largestError(
        flat.slice(segment.offset, segment.offset + segment.size),
        await fixture.floats(fixtureName('before', segment)),
      ),
    );
  checks.measured('LoRA weights as PEFT saved them', worst, 0);
}

/** Every number of the step, for response tokens alone where the fixture masks. */
async function checkStep(
  tf: Tf,
  base: BaseModel,
  policy: Trained,
  fixture: Fixture,
  predicted: Predicted,
  checks: Checks,
): Promise<void> {
  const read = async (name: string) => takeRows(await fixture.floats(name), 1, predicted.places);
  const given = {
    mask: await read('response_mask'),
    advantages: await read('advantages'),
    returns: await read('returns'),
    old: await read('old_logprobs'),
    oldValues: await read('old_values'),
  };
  const tokens = given.mask.reduce((sum, on) => sum + on, 0);
  const parts: { logprobs?: tfjs.Tensor; values?: tfjs.Tensor; policy?: tfjs.Tensor; value?: tfjs.Tensor } = {};
  const sum = newGradient(policy.trainable);
  const named = policy.cut();
  const total = addGradients(sum, named, () => {
    const { picked, logprobs } = scoreTokens(tf, base, policy.using(named), predicted, false);
    const { weight, bias } = policy.valueHead(named)!;
    const values = tf.reshape(tf.add(tf.matMul(picked, weight, false, true), bias), [-1]) as tfjs.Tensor1D;
    const weights = tf.tensor1d(given.mask.map((on) => on / tokens));
    const policyPart = tf.sum(tf.mul(policyLoss(logprobs, tf.tensor1d(given.old), given.advantages, CLIP), weights));
    const valuePart = tf.sum(
      tf.mul(valueLoss(values, tf.tensor1d(given.oldValues), given.returns, VALUE_CLIP), weights),
    );
    Object.assign(parts, {
      logprobs: tf.keep(logprobs.clone()),
      values: tf.keep(values.clone()),
      policy: tf.keep(policyPart.clone()),
      value: tf.keep(valuePart.clone()),
    });
    return tf.add(policyPart, tf.mul(valuePart, VALUE_COEF)) as tfjs.Scalar;
  });
  const logprobs = (await parts.logprobs!.data()) as Float32Array;
  checks.measured('PPO log-probs', largestError(logprobs, await read('token_logprobs')), LOGIT_ALLOWED);
  checks.measured('PPO values', largestError(await parts.values!.data(), await read('values')), LOGIT_ALLOWED);
  checks.measured(
    'PPO policy loss',
    largestError(await parts.policy!.data(), await fixture.floats('policy_loss')),
    LOGIT_ALLOWED,
  );
  checks.measured(
    'PPO value loss',
    largestError(await parts.value!.data(), await fixture.floats('value_loss')),
    LOGIT_ALLOWED,
  );
  await checkMetrics(fixture, logprobs, given, checks);
  await checkUpdate(policy, fixture, sum, checks);
  tf.dispose([total, ...Object.values(parts), ...Object.values(named)]);
  disposeGradient(sum);
}

type Given = { readonly mask: Float32Array; readonly advantages: Float32Array; readonly old: Float32Array };

async function checkMetrics(
  fixture: Fixture,
  logprobs: Float32Array,
  { mask, advantages, old }: Given,
  checks: Checks,
): Promise<void> {
  const on = Array.from(mask.keys()).filter((i) => mask[i] > 0);
  const mean = (of: (i: number) => number) => on.reduce((sum, i) => sum + of(i), 0) / on.length;
  // The divergence from the old policy to the new one, from the old policy's samples.
  const kl = (kind: 'k1' | 'k3') => mean((i) => klEstimate(old[i], logprobs[i], kind));
  const clipped = mean((i) => Number(policyLossOf(logprobs[i], old[i], advantages[i], CLIP).clipped));
  checks.measured('PPO approximate KL k1', Math.abs(kl('k1') - (await fixture.number('approx_kl_k1'))), LOGIT_ALLOWED);
  checks.measured('PPO approximate KL k3', Math.abs(kl('k3') - (await fixture.number('approx_kl_k3'))), LOGIT_ALLOWED);
  checks.measured('PPO clip fraction', Math.abs(clipped - (await fixture.number('clipfrac'))), LOGIT_ALLOWED);
}

async function checkUpdate(
  policy: Trained,
  fixture: Fixture,
  sum: ReturnType<typeof newGradient>,
  checks: Checks,
): Promise<void> {
  const gradient = await gradientOf(sum);
  const worst = await worstSegment(policy.trainable.layout, async (segment) =>
    relativeError(gradient(segment), await fixture.floats(fixtureName('grad', segment))),
  );
  checks.measured(`PPO gradients (worst: ${worst.name})`, worst.error, GRADIENT_ALLOWED);
  const wantedNorm = await fixture.number('grad_norm');
  const norm = await globalNorm(sum, [{ begin: 0, end: sum.size }]);
  checks.measured('PPO gradient norm', Math.abs(norm - wantedNorm) / wantedNorm, GRADIENT_ALLOWED);
  policy.moments = newMoments(policy.trainable.size);
  await adamwStep(policy.trainable, policy.moments, sum, STEP);
  policy.changed();
  const flat = (await policy.trainable.flat.data()) as Float32Array;
  const after = await worstSegment(policy.trainable.layout, async (segment) => {
    const wanted = await fixture.floats(fixtureName('after', segment));
    const settled = settledEntries(await fixture.floats(fixtureName('grad', segment)));
    return relativeError(
      settled.map((i) => flat[segment.offset + i]),
      settled.map((i) => wanted[i]),
    );
  });
  checks.measured(`PPO weights after the step (worst: ${after.name})`, after.error, GRADIENT_ALLOWED);
}

/**
 * Entries whose gradient is not lost in its own tolerance. Adam's first step divides by the gradient's size, so an entry
 * that is all rounding takes a full step in either direction; of such only the gradient is compared.
 */
function settledEntries(gradient: Float32Array): number[] {
  const least = GRADIENT_ALLOWED * gradient.reduce((most, g) => Math.max(most, Math.abs(g)), 0);
  return Array.from(gradient.keys()).filter((i) => Math.abs(gradient[i]) > least);
}

async function worstSegment(
  layout: readonly Segment[],
  errorOf: (segment: Segment) => Promise<number>,
): Promise<{ error: number; name: string }> {
  let worst = { error: 0, name: 'none' };
  for (const segment of layout) {
    const error = await errorOf(segment);
    if (!(error <= worst.error)) worst = { error, name: segment.name };
  }
  return worst;
}
