/**
 * A random tiny model against transformers: logits, log-probs, entropy, cached greedy decoding and the gradient of the mean
 * negative log-likelihood in every parameter. What stands beyond a sequence's length is not compared.
 */
import type * as tfjs from '@tensorflow/tfjs';
import { addGradients, disposeGradient, newGradient } from '../../engine/learn/gradients.ts';
import type { BaseModel } from '../../engine/model/base-model.ts';
import { chosenLogprobs } from '../../engine/model/head.ts';
import { headWeight, type ForwardWeights, type TokenBatch } from '../../engine/model/trunk.ts';
import { gradientOf } from './gradient.ts';
import type { Fixture } from './fixture.ts';
import { largestError, relativeError, type Checks } from './report.ts';
import { allLogits, argmax, headLogits, policyOn, takeRows } from './subject.ts';

type Tf = typeof tfjs;
export const LOGIT_ALLOWED = 1e-3;
export const GRADIENT_ALLOWED = 1e-3;

/** Positions whose next token lies inside the sequence, flat over [batch, length] and over [batch, length - 1]. */
export type Predicted = {
  readonly batch: TokenBatch;
  readonly rows: readonly number[];
  readonly places: readonly number[];
  readonly next: Int32Array;
};

export function predictedTokens(batch: TokenBatch): Predicted {
  const rows: number[] = [];
  const places: number[] = [];
  for (let b = 0; b < batch.batch; b++) {
    for (let t = 0; t + 1 < batch.lengths[b]; t++) {
      rows.push(b * batch.length + t);
      places.push(b * (batch.length - 1) + t);
    }
  }
  return { batch, rows, places, next: Int32Array.from(rows, (row) => batch.ids[row + 1]) };
}

export async function batchOf(fixture: Fixture): Promise<TokenBatch> {
  const [batch, length] = fixture.shape('input_ids');
  const lengths = fixture.has('lengths') ? await fixture.ints('lengths') : new Int32Array(batch).fill(length);
  return { ids: await fixture.ints('input_ids'), batch, length, lengths };
}

/** Flat positions inside the sequences. */
export function insideRows(batch: TokenBatch): number[] {
  return Array.from({ length: batch.batch * batch.length }, (_, row) => row).filter(
    (row) => row % batch.length < batch.lengths[Math.floor(row / batch.length)],
  );
}

export async function checkTiny(tf: Tf, base: BaseModel, fixture: Fixture, checks: Checks): Promise<void> {
  const batch = await batchOf(fixture);
  const using: ForwardWeights = { weights: base.weights, adapter: null };
  const vocab = base.config.vocab;
  const logits = await allLogits(tf, base, batch, using);
  checks.measured(
    'logits',
    largestError(
      takeRows(logits, vocab, insideRows(batch)),
      takeRows(await fixture.floats('logits'), vocab, insideRows(batch)),
    ),
    LOGIT_ALLOWED,
  );
  await checkScores(tf, base, using, fixture, predictedTokens(batch), checks);
  if (fixture.has('greedy_ids')) await checkGreedy(tf, base, using, fixture, checks);
  await checkGradients(tf, base, fixture, predictedTokens(batch), checks);
}

/** Log-probs and entropies of each next token. Tensors are the caller's to dispose, or a tidy's. */
export function scoreTokens(
  tf: Tf,
  base: BaseModel,
  using: ForwardWeights,
  { batch, rows, next }: Predicted,
  trainHead: boolean,
) {
  const hidden = tf.reshape(base.trunk.forward(batch, using), [batch.batch * batch.length, base.config.hidden]);
  const picked = tf.gather(hidden, tf.tensor1d([...rows], 'int32')) as tfjs.Tensor2D;
  return {
    picked,
    ...chosenLogprobs(picked, headWeight(base.config, using.weights), next, { entropyGradient: false, trainHead }),
  };
}

async function checkScores(
  tf: Tf,
  base: BaseModel,
  using: ForwardWeights,
  fixture: Fixture,
  predicted: Predicted,
  checks: Checks,
): Promise<void> {
  const { logprobs, entropy } = tf.tidy(() => {
    const scores = scoreTokens(tf, base, using, predicted, false);
    return { logprobs: scores.logprobs, entropy: scores.entropy };
  });
  const wanted = async (name: string) => takeRows(await fixture.floats(name), 1, predicted.places);
  checks.measured('log-probs', largestError(await logprobs.data(), await wanted('token_logprobs')), LOGIT_ALLOWED);
  checks.measured('entropy', largestError(await entropy.data(), await wanted('entropy')), LOGIT_ALLOWED);
  tf.dispose([logprobs, entropy]);
}

/** Free decoding must choose the same tokens; the logits of each step are those of the cache. */
async function checkGreedy(
  tf: Tf,
  base: BaseModel,
  using: ForwardWeights,
  fixture: Fixture,
  checks: Checks,
): Promise<void> {
  const prompt = await fixture.ints('greedy_prompt');
  const wantedIds = await fixture.ints('greedy_ids');
  const cache = base.trunk.openCache(1, prompt.length + wantedIds.length);
  const all = new Float32Array(wantedIds.length * base.config.vocab);
  const ids: number[] = [];
  let hidden = base.trunk.prefill(
    cache,
    { ids: prompt, batch: 1, length: prompt.length, lengths: Int32Array.of(prompt.length) },
    using,
  );
  for (let step = 0; step < wantedIds.length; step++) {
    const logits = await headLogits(tf, base, hidden, using);
    all.set(logits, step * base.config.vocab);
    ids.push(argmax(logits));
    hidden.dispose();
    const token = tf.tensor1d([ids[step]], 'int32');
    hidden = base.trunk.decode(cache, token);
    token.dispose();
  }
  hidden.dispose();
  cache.dispose();
  const same = ids.findIndex((id, i) => id !== wantedIds[i]);
  checks.equal(
    'greedy ids',
    same < 0,
    same < 0
      ? `${ids.length} of ${ids.length} equal`
      : `differ at token ${same}: ${ids[same]}, wanted ${wantedIds[same]}`,
  );
  if (fixture.has('greedy_logits'))
    checks.measured('greedy logits (cached)', largestError(all, await fixture.floats('greedy_logits')), LOGIT_ALLOWED);
}

async function checkGradients(
  tf: Tf,
  base: BaseModel,
  fixture: Fixture,
  predicted: Predicted,
  checks: Checks,
): Promise<void> {
  const policy = policyOn(base, { kind: 'full' });
  const sum = newGradient(policy.trainable);
  const named = policy.cut();
  const loss = addGradients(
    sum,
    named,
    () => tf.neg(tf.mean(scoreTokens(tf, base, policy.using(named), predicted, true).logprobs)) as tfjs.Scalar,
  );
  checks.measured('nll', largestError(await loss.data(), await fixture.floats('nll')), LOGIT_ALLOWED);
  const gradient = await gradientOf(sum);
  let worst = { error: 0, name: 'none' };
  let compared = 0;
  for (const segment of policy.trainable.layout) {
    if (!fixture.has(`grad.${segment.name}`)) continue;
    const error = relativeError(gradient(segment), await fixture.floats(`grad.${segment.name}`));
    compared++;
    if (!(error <= worst.error)) worst = { error, name: segment.name };
  }
  const expected = fixture.names.filter((name) => name.startsWith('grad.')).length;
  checks.equal('gradients present', compared === expected, `${compared} of ${expected} tensors`);
  checks.measured(`gradients (worst: ${worst.name})`, worst.error, GRADIENT_ALLOWED);
  tf.dispose([loss, ...Object.values(named)]);
  disposeGradient(sum);
  policy.dispose();
}
