/**
 * One step of PPO as QD-Answer takes it, with random weights: every query is decomposed, then answered from what was found,
 * by one policy with an adapter. Each response runs to its full length, so the work is known: as many tokens as records times
 * `tokens`. Reports the seconds of sampling, scoring, learning, and what of it is travel between host and device.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../engine/errors.ts';
import type { ModelConfig } from '../engine/formats/config.ts';
import { LINEAR_LAYERS } from '../engine/formats/peft.ts';
import { ppoSettings } from '../engine/learn/settings.ts';
import { updatePolicy, type TrainRecord } from '../engine/learn/update.ts';
import type { BaseModel } from '../engine/model/base-model.ts';
import { makeTrunk } from '../engine/model/choose-trunk.ts';
import { makePolicy, type BasePolicy } from '../engine/model/make-policy.ts';
import type { Generation, WeightPrecision } from '../engine/protocol.ts';
import { generate } from '../engine/rollout/generate.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { parametersOf, randomWeights, shapeNamed } from './models.ts';
import { keepResults, rounded, type Bench, type Figures } from './suite.ts';
import { countTransfers, timeTransfers } from './transfers.ts';

export type RlStepOptions = {
  readonly model: string;
  readonly weights: string;
  readonly queries: number;
  /** Of every response. */
  readonly tokens: number;
};

/** A role's prompt: what all of its records begin with, and what is each query's own. Mean lengths on HotpotQA. */
type Role = { readonly role: string; readonly shared: number; readonly own: number };
const ROLES: readonly Role[] = [
  { role: 'decomposer', shared: 144, own: 48 },
  { role: 'answerer', shared: 96, own: 160 },
];
const RANK = 16;
/** The first step compiles. */
const STEPS = 2;

type Seconds = Readonly<Record<'generation' | 'scoring' | 'update' | 'transfers' | 'total', number>>;

export async function benchRlStep(bench: Bench, options: RlStepOptions): Promise<Figures> {
  const { model, queries, tokens } = options;
  const weights = (['f32', 'f16', 'q8', 'q4'] as const).find((kind) => kind === options.weights);
  if (!weights) throw new UserError(`There are no ${options.weights} weights; choose of f32, f16, q8, q4`);
  const config = shapeNamed(model);
  const policy = policyOn(config, weights);
  const promptTokens = queries * ROLES.reduce((sum, { shared, own }) => sum + shared + own, 0);
  const responseTokens = queries * ROLES.length * tokens;
  bench.say(
    `${model}, sampling with ${weights} weights: ${queries * ROLES.length} records, ${promptTokens} prompt tokens, ${responseTokens} response tokens`,
  );
  let seconds: Seconds | null = null;
  let transfers: object = {};
  for (let step = 0; step < STEPS; step++) {
    const gpu = activeGpu();
    const counting = countTransfers(gpu);
    const spent = await onePpoStep(bench, policy, options, step);
    counting.stop();
    transfers = counting.counted;
    seconds = { ...spent, transfers: rounded(await timeTransfers(gpu, counting.counted)) };
    bench.say(lineOf(step, seconds));
  }
  const perSecond = rounded((promptTokens + responseTokens) / seconds!.total);
  bench.say(`${perSecond} tokens/s through the whole step`);
  policy.dispose();
  policy.base.dispose();
  await keepResults(bench, 'rl-step', {
    ...{ model, weights, queries, tokens, rank: RANK, records: queries * ROLES.length, promptTokens, responseTokens },
    ...{ seconds, transfers, tokensPerSecond: perSecond },
  });
  return {};
}

function lineOf(step: number, { generation, scoring, update, transfers, total }: Seconds): string {
  const what = step === 0 ? 'first step, which compiles' : `step ${step + 1}`;
  return `${what}: ${total} s: generation ${generation}, scoring ${scoring}, update ${update}; of it transfers ${transfers}`;
}

async function onePpoStep(
  { device }: Bench,
  policy: BasePolicy,
  { queries, tokens }: RlStepOptions,
  step: number,
): Promise<Omit<Seconds, 'transfers'>> {
  const hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: () => device.yieldToEvents() };
  const started = performance.now();
  const records: TrainRecord[] = [];
  for (const role of ROLES)
    for (const [query, { promptIds, ids, logprobs }] of (await ask(policy, role, queries, tokens, step)).entries())
      records.push({
        ...{ record: `${role.role} ${query}`, role: role.role, turn: 0, group: String(query) },
        ...{ promptIds, ids, logprobs, reward: ((query * 7919) % 11) / 10 },
      });
  const sampled = performance.now();
  const of = { parameters: parametersOf(policy.base.config), method: 'lora', totalSteps: STEPS } as const;
  const { timing } = await updatePolicy(policy, records, ppoSettings(of, { roleGradients: 0 }), step, hooks);
  await device.gpu!.queue.onSubmittedWorkDone();
  const done = performance.now();
  const scoring = timing.oldLogprobsMs / 1000;
  return {
    generation: rounded((sampled - started) / 1000),
    scoring: rounded(scoring),
    update: rounded((done - sampled) / 1000 - scoring),
    total: rounded((done - started) / 1000),
  };
}

async function ask(
  policy: BasePolicy,
  { shared, own }: Role,
  queries: number,
  maxTokens: number,
  step: number,
): Promise<Generation[]> {
  const { vocab } = policy.base.config;
  const orders = Array.from({ length: queries }, (_, query) => ({
    record: String(query),
    promptIds: Array.from({ length: shared + own }, (__, t) => (t < shared ? t * 17 : query * 131 + t * 17) % vocab),
    sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens, stop: [], seed: step * queries + query },
  }));
  return generate({ trunk: policy.trunk, using: policy.using(), tokenizer: null }, orders);
}

function policyOn(config: ModelConfig, rollout: WeightPrecision): BasePolicy {
  const weights = randomWeights(config);
  const trunk = makeTrunk(config);
  const dispose = (): void => {
    trunk.dispose();
    tf.dispose(weights);
  };
  // Policies read no files; what a model's source could tell is never asked here.
  const base = { name: 'random', config, trunk, weights, tokenizer: null, dispose } as unknown as BaseModel;
  const targets = LINEAR_LAYERS.map((linear) => linear.split('.')[1]);
  const method = { kind: 'lora', rank: RANK, alpha: 2 * RANK, targets } as const;
  return makePolicy({ policy: 'measured', model: 'random', method, frozen: false, seed: 1, rollout }, base);
}
