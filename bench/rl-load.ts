/**
 * What one measured step of PPO consists of: roles, the lengths of their prompts and responses, how the policy learns; and
 * from these the tokens of each part and the least time that the device's own limits leave it.
 */
import { UserError } from '../engine/errors.ts';
import type { ModelConfig } from '../engine/formats/config.ts';
import { LINEAR_LAYERS } from '../engine/formats/peft.ts';
import type { TrainRecord } from '../engine/learn/update.ts';
import type { ActivationPrecision, PpoSettings, TrainMethod, WeightPrecision } from '../engine/protocol.ts';
import type { Order } from '../engine/rollout/generate.ts';
import { decodeRoof, forwardFlops, type Roof } from './roof.ts';
import { rounded } from './suite.ts';

/** A role's prompt: what all of its records begin with, and what is each query's own. */
export type Role = { readonly role: string; readonly shared: number; readonly own: number };

export type Preset = {
  readonly what: string;
  readonly roles: readonly Role[];
  readonly model: string;
  readonly queries: number;
  /** Of every response. */
  readonly tokens: number;
  readonly method: TrainMethod['kind'];
  readonly settings: Partial<PpoSettings>;
};

/** Mean lengths on HotpotQA with our template; those that verl's log tells of GSM8K. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  'qd-answer': {
    what: 'QD-Answer: every query is decomposed, then answered from what was found, by one policy',
    roles: [
      { role: 'decomposer', shared: 144, own: 48 },
      { role: 'answerer', shared: 96, own: 160 },
    ],
    ...{ model: 'qwen2.5-0.5b', queries: 128, tokens: 512, method: 'lora', settings: {} },
  },
  verl: {
    what: "what verl's quickstart trains: one answer a question, all weights, a reference, four mini-batches",
    roles: [{ role: 'solver', shared: 24, own: 81 }],
    ...{ model: 'qwen2.5-0.5b', queries: 256, tokens: 512, method: 'full' },
    settings: { miniBatches: 4, kl: { kind: 'k1', place: 'reward', coef: 0.001 } },
  },
};

/** One GPU, Qwen2.5-0.5B-Instruct, PPO with a critic of its own: the first step that verl's documentation prints. */
export const PUBLISHED = {
  source: 'verl, docs/start/quickstart: step 0 of PPO on GSM8K, Qwen2.5-0.5B-Instruct, all weights, one GPU',
  seconds: 67.6,
  parts: { generation: 21.47, reference: 4.36, values: 5.8, critic: 15.66, actor: 20.31 },
  prompts: 256,
  /** At most 256, 239 in the mean; ours are all as long as asked for. */
  responseTokens: 239,
} as const;

/** Beside which a step of as many records, none of them shorter, may stand; null for other loads. `seconds`: of the whole step. */
export function besidePublished(load: Load, model: string, seconds: number) {
  const alike = recordsOf(load) === PUBLISHED.prompts && load.tokens >= PUBLISHED.responseTokens;
  if (model !== 'qwen2.5-0.5b' || !alike) return null;
  return { ...PUBLISHED, timesAsFast: rounded(PUBLISHED.seconds / seconds) };
}

export const RANK = 16;

/** With adapters, on every linear layer. */
export function methodOf(kind: string): TrainMethod {
  if (kind === 'full') return { kind };
  if (kind !== 'lora') throw new UserError(`There is no method ${kind}; choose of lora, full`);
  return { kind, rank: RANK, alpha: 2 * RANK, targets: LINEAR_LAYERS.map((linear) => linear.split('.')[1]) };
}

export type Load = {
  readonly config: ModelConfig;
  readonly weights: WeightPrecision;
  /** Between kernels, as it samples and learns. */
  readonly activations: ActivationPrecision;
  readonly roles: readonly Role[];
  readonly queries: number;
  readonly tokens: number;
  readonly method: TrainMethod;
  readonly settings: Partial<PpoSettings>;
};

export const recordsOf = ({ roles, queries }: Load): number => roles.length * queries;
export const responseTokens = (load: Load): number => recordsOf(load) * load.tokens;
export const promptTokens = ({ roles, queries }: Load): number =>
  queries * roles.reduce((sum, { shared, own }) => sum + shared + own, 0);
/** Positions of the longest sequence. */
export const longest = ({ roles, tokens }: Load): number =>
  Math.max(...roles.map(({ shared, own }) => shared + own)) + tokens;

/** What a role is asked in this step, of every query. */
export function ordersOf({ config, queries, tokens }: Load, { shared, own }: Role, step: number): Order[] {
  return Array.from({ length: queries }, (_, query) => ({
    record: String(query),
    promptIds: Array.from(
      { length: shared + own },
      (__, t) => (t < shared ? t * 17 : query * 131 + t * 17) % config.vocab,
    ),
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: tokens, stop: [], seed: step * queries + query },
  }));
}

/** Rewards are as good as any: what is learned is not measured. */
export function recordOf(
  { role }: Role,
  query: number,
  answer: Pick<TrainRecord, 'promptIds' | 'ids' | 'logprobs'>,
): TrainRecord {
  const { promptIds, ids, logprobs } = answer;
  return {
    ...{ record: `${role} ${query}`, role, turn: 0, group: String(query), promptIds, ids, logprobs },
    reward: ((query * 7919) % 11) / 10,
  };
}

/** Parts of a step that follow one another; together they are the step. */
export type Part = 'generation' | 'scoring' | 'update';

/** Least seconds of each part, with all queries of a role at once, and what begins alike computed once a role. */
export function leastSeconds(load: Load, roof: Roof): Readonly<Record<Part, number>> {
  const { config, weights, roles, queries, tokens, method, settings } = load;
  const flops = (count: (role: Role) => { tokens: number; heads: number; keys: number }): number =>
    roles.reduce((sum, role) => sum + forwardFlops(config, count(role)), 0) / roof.fmaGflops / 1e9;
  const prompts = flops((role) => ({ ...through(role, queries, role.own), heads: queries }));
  const decoding = roles.map(({ shared, own }) => {
    const step = { batch: queries, context: shared + own + tokens / 2 };
    return (tokens - 1) * decodeRoof(config, weights, step, roof);
  });
  const forward = flops((role) => ({ ...through(role, queries, role.own + tokens), heads: queries * tokens }));
  const passes = (settings.kl?.place ?? 'none') === 'none' ? 1 : 2;
  return {
    generation: decoding.reduce((a, b) => a + b, prompts),
    scoring: passes * forward,
    // Back through frozen weights costs as much as forward, and their gradients as much again.
    update: (method.kind === 'lora' ? 2 : 3) * forward,
  };
}

/** Tokens of a role's sequences, each with `own` after what they share, and the keys these read. */
function through({ shared }: Role, queries: number, own: number): { tokens: number; keys: number } {
  return {
    tokens: shared + queries * own,
    keys: (shared * (shared + 1)) / 2 + queries * (own * shared + (own * (own + 1)) / 2),
  };
}
