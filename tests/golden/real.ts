/**
 * Real models against transformers: the chat template's ids, the prompt's log-probs, the next token's ten likeliest and the
 * greedy continuation, all of a model's cases decoded as one batch.
 */
import { readFileSync } from 'node:fs';
import type * as tfjs from '@tensorflow/tfjs';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { ForwardWeights, TokenBatch } from '../../engine/model/trunk.ts';
import { largestError, type Checks } from './report.ts';
import { argmax, headLogits } from './subject.ts';
import { predictedTokens, scoreTokens } from './tiny.ts';

type Tf = typeof tfjs;
const ALLOWED = 2e-3;

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

/** Null for JSON files that are not about a model. */
export function readRealFixture(path: string): RealFixture | null {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Partial<RealFixture>;
  return typeof json.model === 'string' && Array.isArray(json.cases) ? (json as RealFixture) : null;
}

export async function checkReal(tf: Tf, base: BaseModel, cases: readonly RealCase[], checks: Checks): Promise<void> {
  checkTokens(base, cases, checks);
  const using: ForwardWeights = { weights: base.weights, adapter: null };
  let promptError = 0;
  for (const { prompt_ids, prompt_logprobs } of cases) promptError = worse(promptError, largestError(await promptLogprobs(tf, base, using, prompt_ids), prompt_logprobs));
  checks.measured('prompt log-probs', promptError, ALLOWED);
  await checkContinuations(tf, base, using, cases, checks);
}

function worse(a: number, b: number): number {
  return Number.isNaN(b) ? NaN : Math.max(a, b);
}

function checkTokens(base: BaseModel, cases: readonly RealCase[], checks: Checks): void {
  const tokenizer = base.tokenizer;
  const wrong = cases.filter(({ user, prompt_text, prompt_ids, greedy_ids, greedy_text }) => {
    const messages = [{ role: 'user', content: user }] as const;
    const ids = tokenizer?.encodeChat(messages);
    return tokenizer?.renderChat(messages) !== prompt_text || ids?.join() !== prompt_ids.join() || tokenizer?.decode(greedy_ids, { keepSpecial: true }) !== greedy_text;
  });
  checks.equal('chat template, ids and text', wrong.length === 0, `${cases.length - wrong.length} of ${cases.length} prompts equal`);
}

async function promptLogprobs(tf: Tf, base: BaseModel, using: ForwardWeights, prompt: readonly number[]): Promise<Float32Array> {
  const batch: TokenBatch = { ids: Int32Array.from(prompt), batch: 1, length: prompt.length, lengths: Int32Array.of(prompt.length) };
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

async function checkContinuations(tf: Tf, base: BaseModel, using: ForwardWeights, cases: readonly RealCase[], checks: Checks): Promise<void> {
  const prompts = promptBatch(cases);
  const steps = Math.max(...cases.map(({ greedy_ids }) => greedy_ids.length));
  const cache = base.trunk.openCache(cases.length, prompts.length + steps);
  const chosen: number[][] = cases.map(() => []);
  let top = 0;
  let hidden = base.trunk.prefill(cache, prompts, using);
  for (let step = 0; step < steps; step++) {
    const logits = await headLogits(tf, base, hidden, using);
    const rows = cases.map((_, i) => logits.subarray(i * base.config.vocab, (i + 1) * base.config.vocab));
    if (step === 0) top = cases.reduce((worst, one, i) => worse(worst, topError(rows[i], one)), 0);
    rows.forEach((row, i) => chosen[i].push(argmax(row)));
    hidden.dispose();
    const tokens = tf.tensor1d(chosen.map((ids) => ids[step]), 'int32');
    hidden = base.trunk.decode(cache, tokens, using);
    tokens.dispose();
  }
  hidden.dispose();
  cache.dispose();
  checks.measured("next token's ten likeliest", top, ALLOWED);
  const wrong = cases.filter(({ greedy_ids }, i) => greedy_ids.some((id, at) => id !== chosen[i][at]));
  checks.equal('greedy ids', wrong.length === 0, `${cases.length - wrong.length} of ${cases.length} continuations equal`);
}

/** Log-probs of the ten ids, and that no other token is likelier than the tenth by more than is allowed. */
function topError(logits: Float32Array, { next_top10_ids, next_top10_logprobs }: RealCase): number {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const logSum = max + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  const listed = new Set(next_top10_ids);
  const likeliestOther = logits.reduce((best, logit, id) => (listed.has(id) ? best : Math.max(best, logit)), -Infinity) - logSum;
  const excess = Math.max(0, likeliestOther - Math.min(...next_top10_logprobs));
  return worse(excess, largestError(next_top10_ids.map((id) => logits[id] - logSum), next_top10_logprobs));
}
