/**
 * A LoRA adapter made by PEFT and one PPO step on it: logits with the adapter on, then log-probs, values, losses, gradients
 * and their norm, and every trainable tensor after one AdamW step, all by the functions an update runs. The fixture gives
 * advantages, returns and the old numbers, so this starts where an update has settled its rewards.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { UserError } from '../../engine/errors.ts';
import { readPeft } from '../../engine/formats/peft.ts';
import { adamwStep } from '../../engine/learn/adamw.ts';
import type { Hooks } from '../../engine/learn/forward.ts';
import { disposeGradient, type FlatGradient } from '../../engine/learn/gradients.ts';
import { fillTokenWeights, policyLossOf, valueLossOf } from '../../engine/learn/losses.ts';
import { klEstimate } from '../../engine/learn/kl.ts';
import { newMoments } from '../../engine/learn/moments.ts';
import { miniBatchGradient, type MiniBatch, type Seen } from '../../engine/learn/ppo-step.ts';
import { flatLayout, type Sequence } from '../../engine/learn/records.ts';
import { ppoSettings } from '../../engine/learn/settings.ts';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { Policy, Segment, Trainable } from '../../engine/model/policy.ts';
import type { ForwardWeights, TokenBatch } from '../../engine/model/trunk.ts';
import type { FileSet } from '../../engine/protocol.ts';
import type { Fixture } from './fixture.ts';
import { gradientOf } from './gradient.ts';
import { largestError, relativeError, type Checks } from './report.ts';
import { allLogits, headLogits, methodOf, policyOn, setTrainable, takeRows } from './subject.ts';
import { batchOf, GRADIENT_ALLOWED, LOGIT_ALLOWED } from './tiny.ts';

type Tf = typeof tfjs;
type Trained = Policy & { readonly trainable: Trainable };

/** The fixtures' settings, as their README gives them. */
const SETTINGS = ppoSettings(
  { parameters: 1, method: 'lora', totalSteps: 1 },
  {
    clip: 0.2,
    dualClip: 3,
    valueClip: 0.5,
    valueCoef: 0.5,
    valueGradient: 'trunk',
    entropyCoef: 0,
    aggregation: 'token-mean',
    importanceCap: 0,
    oldLogprobs: 'behaviour',
  },
);
const STEP = { rates: { trunk: 1e-3, value: 1e-3 }, weightDecay: 0.01, maxGradNorm: 1 };
const HOOKS: Hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: async () => {} };

export async function checkPpo(
  tf: Tf,
  base: BaseModel,
  adapterFiles: FileSet,
  fixture: Fixture,
  checks: Checks,
): Promise<void> {
  const adapter = await readPeft(adapterFiles, base.config);
  const policy = policyOn(base, methodOf(adapter));
  await setTrainable(tf, policy, async ({ name }) => {
    const pair = adapter.pairs.get(name.replace(/\.lora_[AB]$/, ''));
    if (pair) return name.endsWith('.lora_A') ? pair.a : pair.b;
    return fixture.floats(`before.${name}`);
  });
  const batch = await batchOf(fixture);
  const logits = await allLogits(tf, base, batch, policy.using());
  const wanted = await fixture.floats('logits');
  checks.measured('LoRA logits', largestError(logits, wanted), LOGIT_ALLOWED);
  checks.measured(
    'LoRA logits (cached)',
    largestError(
      await lastLogits(tf, base, batch, policy.using()),
      takeRows(wanted, base.config.vocab, lastRows(batch)),
    ),
    LOGIT_ALLOWED,
  );
  await checkBefore(policy, fixture, checks);
  await checkStep(policy, fixture, batch, checks);
  policy.dispose();
}

/** Flat position of each sequence's last token. */
function lastRows({ lengths, length }: TokenBatch): number[] {
  return [...lengths].map((own, row) => row * length + own - 1);
}

/** Logits of every sequence's last token by way of the cache: all before it as a prompt, then one step. */
async function lastLogits(tf: Tf, base: BaseModel, batch: TokenBatch, using: ForwardWeights): Promise<Float32Array> {
  const cache = base.trunk.openCache(batch.batch, batch.length);
  base.trunk.prefill(cache, { ...batch, lengths: batch.lengths.map((own) => own - 1) }, using).dispose();
  const ids = tf.tensor1d(
    Int32Array.from(lastRows(batch), (row) => batch.ids[row]),
    'int32',
  );
  const hidden = base.trunk.decode(cache, ids);
  const logits = await headLogits(tf, base, hidden, using);
  tf.dispose([ids, hidden]);
  cache.dispose();
  return logits;
}

/** PEFT's name of one of our segments in these fixtures. */
function fixtureName(kind: 'before' | 'after' | 'grad', { name }: Segment): string {
  return /\.lora_[AB]$/.test(name) ? `${kind}.base_model.model.${name}.default.weight` : `${kind}.${name}`;
}

async function checkBefore(policy: Trained, fixture: Fixture, checks: Checks): Promise<void> {
  const flat = await policy.trainable.flat.data();
  const { error } = await worstSegment(policy.trainable.layout, async (segment) =>
    largestError(
      flat.slice(segment.offset, segment.offset + segment.size),
      await fixture.floats(fixtureName('before', segment)),
    ),
  );
  checks.measured('LoRA weights as PEFT saved them', error, 0);
}

/** The masked tokens of each row as a response to what stands before them; `places` are theirs in [batch, length - 1]. */
type Responses = { readonly sequences: readonly Sequence[]; readonly places: readonly number[] };

function responsesOf(batch: TokenBatch, mask: Float32Array): Responses {
  const width = batch.length - 1;
  const places: number[] = [];
  const sequences: Sequence[] = [];
  for (let row = 0; row < batch.batch; row++) {
    const on = mask.subarray(row * width, (row + 1) * width);
    const [first, last] = [on.indexOf(1), on.lastIndexOf(1)];
    if (first < 0) continue;
    if (on.subarray(first, last + 1).includes(0))
      throw new UserError(`response_mask: row ${row} is not one run of tokens`);
    for (let t = first; t <= last; t++) places.push(row * width + t);
    const ids = batch.ids.subarray(row * batch.length, (row + 1) * batch.length);
    sequences.push({ promptIds: ids.subarray(0, first + 1), ids: ids.subarray(first + 1, last + 2) });
  }
  return { sequences, places };
}

async function checkStep(policy: Trained, fixture: Fixture, batch: TokenBatch, checks: Checks): Promise<void> {
  const { sequences, places } = responsesOf(batch, await fixture.floats('response_mask'));
  const read = async (name: string) => {
    const all = await fixture.floats(name);
    return Float32Array.from(places, (place) => all[place]);
  };
  const { starts, tokens } = flatLayout(sequences);
  const members = sequences.map((_, r) => r);
  const old = await read('old_logprobs');
  const inputs = {
    starts,
    oldLogprobs: old,
    behaviour: old,
    reference: null,
    values: await read('old_values'),
    advantages: await read('advantages'),
    returns: await read('returns'),
    weights: new Float32Array(tokens),
  };
  fillTokenWeights(inputs.weights, members, starts, SETTINGS.aggregation);
  const mini: MiniBatch = { sequences, members, inputs, fresh: false, criticOnly: false, settings: SETTINGS };
  const seen: Seen = {
    logprobs: new Float32Array(tokens),
    entropy: new Float32Array(tokens),
    values: new Float32Array(tokens),
  };
  const gradient = await miniBatchGradient(policy, mini, seen, SETTINGS.tokenBudget, HOOKS, () => {});
  checks.measured('PPO log-probs', largestError(seen.logprobs, await read('token_logprobs')), LOGIT_ALLOWED);
  checks.measured('PPO values', largestError(seen.values, await read('values')), LOGIT_ALLOWED);
  await checkLosses(fixture, mini, seen, checks);
  await checkGradient('PPO gradients', policy, fixture, gradient, checks);
  // A budget of one token gives every sequence a micro-batch of its own.
  const cut = await miniBatchGradient(policy, mini, seen, 1, HOOKS, () => {});
  await checkGradient('PPO gradients, cut in micro-batches', policy, fixture, cut, checks);
  disposeGradient(cut);
  await checkUpdate(policy, fixture, gradient, checks);
  disposeGradient(gradient);
}

async function checkLosses(
  fixture: Fixture,
  { inputs, settings }: MiniBatch,
  seen: Seen,
  checks: Checks,
): Promise<void> {
  const { oldLogprobs: old, advantages, returns, values, weights } = inputs;
  const mean = (of: (t: number) => number) => weights.reduce((sum, weight, t) => sum + weight * of(t), 0);
  const policyToken = (t: number) => policyLossOf(seen.logprobs[t], old[t], advantages[t], settings);
  const found: Record<string, number> = {
    policy_loss: mean((t) => policyToken(t).loss),
    value_loss: mean((t) => valueLossOf(seen.values[t], values[t], returns[t], settings.valueClip)),
    approx_kl_k1: mean((t) => klEstimate(old[t], seen.logprobs[t], 'k1')),
    approx_kl_k3: mean((t) => klEstimate(old[t], seen.logprobs[t], 'k3')),
    clipfrac: mean((t) => Number(policyToken(t).clipped)),
  };
  for (const [name, value] of Object.entries(found))
    checks.measured(`PPO ${name}`, Math.abs(value - (await fixture.number(name))), LOGIT_ALLOWED);
}

async function checkGradient(
  what: string,
  policy: Trained,
  fixture: Fixture,
  gradient: FlatGradient,
  checks: Checks,
): Promise<void> {
  const of = await gradientOf(gradient);
  const worst = await worstSegment(policy.trainable.layout, async (segment) =>
    relativeError(of(segment), await fixture.floats(fixtureName('grad', segment))),
  );
  checks.measured(`${what} (worst: ${worst.name})`, worst.error, GRADIENT_ALLOWED);
}

async function checkUpdate(policy: Trained, fixture: Fixture, gradient: FlatGradient, checks: Checks): Promise<void> {
  policy.moments = newMoments(policy.trainable.size);
  const norm = await adamwStep(policy.trainable, policy.moments, gradient, STEP);
  policy.changed();
  const wanted = await fixture.number('grad_norm');
  checks.measured('PPO gradient norm', Math.abs(norm - wanted) / wanted, GRADIENT_ALLOWED);
  const flat = (await policy.trainable.flat.data()) as Float32Array;
  const after = await worstSegment(policy.trainable.layout, async (segment) => {
    const expected = await fixture.floats(fixtureName('after', segment));
    const settled = settledEntries(await fixture.floats(fixtureName('grad', segment)));
    return relativeError(
      settled.map((i) => flat[segment.offset + i]),
      settled.map((i) => expected[i]),
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
