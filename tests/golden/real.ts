/**
 * Real models against transformers: the chat template's ids, the prompt's log-probs, the next token's ten likeliest and the
 * greedy continuation, all of a model's cases generated as one batch.
 */
import type * as tfjs from '@tensorflow/tfjs';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { ForwardWeights, TokenBatch } from '../../engine/model/trunk.ts';
import type { ActivationPrecision, Generation, KeyPrecision, WeightPrecision } from '../../engine/protocol.ts';
import { generate } from '../../engine/rollout/generate.ts';
import { largestError, type Checks } from './report.ts';
import { checkRounded } from './rounded.ts';
import { headLogits } from './subject.ts';
import { predictedTokens, scoreTokens } from './tiny.ts';

type Tf = typeof tfjs;
const ALLOWED = 2e-3;
/** Half floats: of the likeliest tokens' log-probs. */
const HALF_ALLOWED = 2e-2;
/** Of whole prompts with half floats between kernels: the most of a hundred tokens, some as unlikely as e⁻¹⁵; their mean is a tenth. */
const HALF_FLOW_ALLOWED = 4e-2;
/** How much of a greedy continuation is equal on weights less exact than float32. */
const EQUAL_TOKENS = 16;

export type RealCase = {
  readonly user: string;
  readonly prompt_text: string;
  readonly prompt_ids: readonly number[];
  readonly prompt_logprobs: readonly number[];
  readonly next_top10_ids: readonly number[];
  readonly next_top10_logprobs: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
};
export type RealFixture = { readonly model: string; readonly cases: readonly RealCase[] };

/** What is sampled with; whole sequences are always scored on float32. */
export type SampledWith = {
  readonly rollout: WeightPrecision;
  readonly keys: KeyPrecision;
  readonly activations: ActivationPrecision;
  /** How much of the greedy continuations is looked at, where that is slow. */
  readonly tokens?: number;
};

export async function checkReal(
  tf: Tf,
  base: BaseModel,
  cases: readonly RealCase[],
  sampled: SampledWith,
  checks: Checks,
): Promise<void> {
  checkTokens(base, cases, checks);
  const { rollout, keys, activations, tokens = Infinity } = sampled;
  const using: ForwardWeights = { weights: base.weights, adapter: null, rollout, keys, activations };
  let promptError = 0;
  for (const { prompt_ids, prompt_logprobs } of cases)
    promptError = worse(promptError, largestError(await promptLogprobs(tf, base, using, prompt_ids), prompt_logprobs));
  checks.measured('prompt log-probs', promptError, activations === 'f32' ? ALLOWED : HALF_FLOW_ALLOWED);
  if (rollout === 'f32' || rollout === 'f16') await checkNext(tf, base, using, cases, checks);
  const answers = await continued(base, using, cases, tokens);
  if (saysWhatTheModelSays(base, rollout))
    checkContinuations(answers, cases, Math.min(tokens, isExact(sampled) ? Infinity : EQUAL_TOKENS), checks);
  // What is compared differs by the weights alone.
  if (rollout !== 'f32' && keys === 'f32' && activations === 'f32')
    await checkRounded(tf, base, answers, rollout, checks);
}

const isExact = ({ rollout, keys, activations }: SampledWith): boolean =>
  [rollout, keys, activations].every((kind) => kind === 'f32');

/** Half floats and bytes keep a model's greedy text; half bytes only where its own file holds no more. */
function saysWhatTheModelSays({ source }: BaseModel, rollout: WeightPrecision): boolean {
  return rollout !== 'q4' || source.weightTypes.some((type) => /^Q4/.test(type));
}

function worse(a: number, b: number): number {
  return Number.isNaN(b) ? NaN : Math.max(a, b);
}

function checkTokens(base: BaseModel, cases: readonly RealCase[], checks: Checks): void {
  const tokenizer = base.tokenizer;
  const wrong = cases.filter(({ user, prompt_text, prompt_ids, greedy_ids, greedy_text }) => {
    const messages = [{ role: 'user', content: user }] as const;
    const ids = tokenizer?.encodeChat(messages);
    return (
      tokenizer?.renderChat(messages) !== prompt_text ||
      ids?.join() !== prompt_ids.join() ||
      tokenizer?.decode(greedy_ids, { keepSpecial: true }) !== greedy_text
    );
  });
  checks.equal(
    'chat template, ids and text',
    wrong.length === 0,
    `${cases.length - wrong.length} of ${cases.length} prompts equal`,
  );
}

async function promptLogprobs(
  tf: Tf,
  base: BaseModel,
  using: ForwardWeights,
  prompt: readonly number[],
): Promise<Float32Array> {
  const batch: TokenBatch = {
    ids: Int32Array.from(prompt),
    batch: 1,
    length: prompt.length,
    lengths: Int32Array.of(prompt.length),
  };
  const logprobs = tf.tidy(() => scoreTokens(tf, base, using, predictedTokens(batch), false).logprobs);
  const data = (await logprobs.data()) as Float32Array;
  logprobs.dispose();
  return data;
}

/** Right-padded prompts of all cases. */
function promptBatch(cases: readonly RealCase[]): TokenBatch {
  const lengths = Int32Array.from(cases, ({ prompt_ids }) => prompt_ids.length);
  const length = Math.max(...lengths);
  const ids = new Int32Array(cases.length * length);
  cases.forEach(({ prompt_ids }, i) => ids.set(prompt_ids, i * length));
  return { ids, batch: cases.length, length, lengths };
}

async function checkNext(
  tf: Tf,
  base: BaseModel,
  using: ForwardWeights,
  cases: readonly RealCase[],
  checks: Checks,
): Promise<void> {
  const prompts = promptBatch(cases);
  const cache = base.trunk.openCache(cases.length, prompts.length, [using]);
  const hidden = base.trunk.prefill(cache, prompts, using);
  const logits = await headLogits(tf, base, hidden, using);
  const row = (i: number) => logits.subarray(i * base.config.vocab, (i + 1) * base.config.vocab);
  checks.measured(
    "next token's ten likeliest",
    cases.reduce((worst, one, i) => worse(worst, topError(row(i), one)), 0),
    using.rollout === 'f32' && using.keys === 'f32' && using.activations === 'f32' ? ALLOWED : HALF_ALLOWED,
  );
  hidden.dispose();
  cache.dispose();
}

/** The product's own generation, all cases in one call. */
function continued(
  base: BaseModel,
  using: ForwardWeights,
  cases: readonly RealCase[],
  tokens: number,
): Promise<Generation[]> {
  const maxTokens = Math.min(tokens, Math.max(...cases.map(({ greedy_ids }) => greedy_ids.length)));
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens, stop: [], seed: 0 };
  const orders = cases.map(({ prompt_ids }, i) => ({ record: String(i), promptIds: prompt_ids, sampling }));
  return generate({ trunk: base.trunk, using, tokenizer: base.tokenizer }, orders);
}

function checkContinuations(
  answers: readonly Generation[],
  cases: readonly RealCase[],
  tokens: number,
  checks: Checks,
): void {
  const begun = (ids: readonly number[]): string => ids.slice(0, tokens).join();
  const wrong = cases.filter(({ greedy_ids }, i) => begun(answers[i].ids) !== begun(greedy_ids));
  const same = cases.map(({ greedy_ids }, i) => greedy_ids.findIndex((id, t) => answers[i].ids[t] !== id));
  checks.equal(
    Number.isFinite(tokens) ? `first ${tokens} greedy ids (the same until ${same.join(', ')}; -1: all)` : 'greedy ids',
    wrong.length === 0,
    `${cases.length - wrong.length} of ${cases.length} continuations equal`,
  );
}

/** Log-probs of the ten ids, and that no other token is likelier than the tenth by more than is allowed. */
function topError(logits: Float32Array, { next_top10_ids, next_top10_logprobs }: RealCase): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const logSum = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  const listed = new Set(next_top10_ids);
  const likeliestOther =
    logits.reduce((best, logit, id) => (listed.has(id) ? best : Math.max(best, logit)), -Infinity) - logSum;
  const excess = Math.max(0, likeliestOther - Math.min(...next_top10_logprobs));
  return worse(
    excess,
    largestError(
      next_top10_ids.map((id) => logits[id] - logSum),
      next_top10_logprobs,
    ),
  );
}
