/** Whole updates of a real tiny model: what may and what may not change their result, memory running out, bad input. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { OutOfMemory } from '../device/out-of-memory.ts';
import { Cancelled } from '../errors.ts';
import { filesAt } from '../formats/folder.node.ts';
import { openModel } from '../formats/model-files.ts';
import { FIXTURES, missing } from '../formats/test-support.node.ts';
import { loadBaseModel, type BaseModel } from '../model/base-model.ts';
import { makePolicy, type BasePolicy } from '../model/make-policy.ts';
import type { Policy } from '../model/policy.ts';
import type { PolicySpec, PpoSettings, UpdateReport } from '../protocol.ts';
import { scoreSequences, type Hooks } from './forward.ts';
import { ppoSettings, sftSettings } from './settings.ts';
import { fineTune } from './sft.ts';
import { updatePolicy, type TrainRecord } from './update.ts';

const MODEL = `${FIXTURES}/tiny-llama`;
const absent = missing(MODEL);
const FULL: PolicySpec = { policy: 'p', model: 'tiny', method: { kind: 'full' }, frozen: false, seed: 5 };
const LORA: PolicySpec = { ...FULL, method: { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'down_proj'] } };
const SETTINGS: PpoSettings = {
  ...ppoSettings({ parameters: 1e5, method: 'full', totalSteps: 10 }),
  lr: 1e-3,
  criticLr: 1e-3,
  tokenBudget: 1000,
};
const REINFORCE: PpoSettings = { ...SETTINGS, estimator: 'reinforce', valueCoef: 0 };
const HOOKS: Hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: async () => {} };

/** A small deterministic set of records of two roles with unlike lengths. */
function someRecords(count = 9): TrainRecord[] {
  return Array.from({ length: count }, (_, r) => {
    const ids = Array.from({ length: 1 + (r % 4) }, (_, t) => (r * 31 + t * 7 + 3) % 199);
    const promptIds = Array.from({ length: 2 + ((r * 5) % 7) }, (_, t) => (r * 13 + t * 11) % 199);
    return {
      record: `r${r}`,
      reward: (r * 3) % 5,
      role: r % 2 ? 'asks' : 'answers',
      turn: r % 3,
      group: `q${r % 3}`,
      promptIds,
      ids,
      logprobs: ids.map(() => -5),
    };
  });
}

describe.skipIf(absent)(`updates ${absent ?? ''}`, () => {
  let device: Device;
  let base: BaseModel;
  let made: BasePolicy[] = [];
  beforeAll(async () => {
    device = await openDevice('wasm');
    base = await loadBaseModel('tiny', await openModel(await filesAt(MODEL)), () => {});
  });
  afterEach(() => {
    for (const policy of made) policy.dispose();
    made = [];
  });
  afterAll(async () => {
    base.dispose();
    await device.close();
  });

  const make = (spec: PolicySpec = FULL) => (made.push(makePolicy(spec, base)), made.at(-1)!);
  const weights = (policy: Policy) => Float32Array.from(policy.trainable!.flat.dataSync());
  const gap = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).reduce((worst, x, i) => Math.max(worst, Math.abs(x - b[i])), 0);
  const run = (
    policy: Policy,
    settings: Partial<PpoSettings> = {},
    records = someRecords(),
    step = 0,
  ): Promise<UpdateReport> => updatePolicy(policy, records, { ...SETTINGS, ...settings }, step, HOOKS);

  /** The weights after the same two updates under some settings. */
  async function after(settings: PpoSettings, records = someRecords(), spec = FULL): Promise<Float32Array> {
    const policy = make(spec);
    for (const step of [0, 1]) await updatePolicy(policy, records, settings, step, HOOKS);
    return weights(policy);
  }

  it.each([
    ['full', FULL],
    ['LoRA', LORA],
  ] as const)('micro-batches never change the result: %s', async (_, spec) => {
    // prettier-ignore
    for (const settings of [SETTINGS, { ...SETTINGS, aggregation: 'seq-mean-token-mean', valueGradient: 'trunk', entropyCoef: 0.01, kl: { kind: 'k3', place: 'loss', coef: 0.1 } } as const]) {
      const [whole, cut] = [await after(settings, undefined, spec), await after({ ...settings, tokenBudget: 8 }, undefined, spec)];
      expect(gap(whole, weights(make(spec)))).toBeGreaterThan(1e-4);
      expect(gap(whole, cut)).toBeLessThan(2e-5);
    }
  });

  it('the order in which records arrive never changes the result', async () => {
    expect(await after(SETTINGS, someRecords().reverse())).toEqual(await after(SETTINGS));
  });

  it('leaving out the old log-prob pass changes nothing: the first forward is that pass', async () => {
    const [skipped, full] = [make(), make()];
    const a = await updatePolicy(skipped, someRecords(), { ...REINFORCE, epochs: 2 }, 0, HOOKS);
    // A KL reward of weight zero asks for old log-probs beforehand and adds nothing.
    const b = await updatePolicy(
      full,
      someRecords(),
      { ...REINFORCE, epochs: 2, kl: { kind: 'k1', place: 'reward', coef: 0 } },
      0,
      HOOKS,
    );
    expect(gap(weights(skipped), weights(full))).toBeLessThan(2e-5);
    a.tokens.forEach(({ oldLogprobs }, r) => expect(gap(oldLogprobs, b.tokens[r].oldLogprobs)).toBeLessThan(1e-4));
  });

  it('makes what was rewarded likelier and what was not less likely', async () => {
    const policy = make();
    const records = someRecords(8).map((record, r) => ({ ...record, reward: r < 4 ? 1 : -1 }));
    const likely = async () => {
      const { logprobs } = await scoreSequences(
        policy,
        records,
        [...records.keys()],
        { using: policy.using(), valueHead: null, phase: 'test' },
        1000,
        HOOKS,
      );
      const good = records.slice(0, 4).reduce((n, { ids }) => n + ids.length, 0);
      const mean = (x: Float32Array) => x.reduce((a, b) => a + b, 0) / x.length;
      return [mean(logprobs.subarray(0, good)), mean(logprobs.subarray(good))];
    };
    const before = await likely();
    for (let step = 0; step < 3; step++) await updatePolicy(policy, records, REINFORCE, step, HOOKS);
    const now = await likely();
    expect(now[0]).toBeGreaterThan(before[0]);
    expect(now[1]).toBeLessThan(before[1]);
  });

  it('the critic learns the returns it sees', async () => {
    const policy = make();
    const losses: number[] = [];
    for (let step = 0; step < 30; step++)
      losses.push(
        (await run(policy, { criticWarmup: 100, criticLr: 0.02, valueClip: 0 }, someRecords(), step)).metrics[
          'losses/value'
        ],
      );
    expect(losses.at(-1)!).toBeLessThan(losses[0] / 2);
  });

  it('a critic warm-up leaves the trunk alone, moments and steps too', async () => {
    const policy = make();
    const before = weights(policy);
    await run(policy, { criticWarmup: 1, miniBatches: 1 });
    const { layout } = policy.trainable!;
    const moved = layout.filter(
      ({ offset, size }) =>
        gap(weights(policy).subarray(offset, offset + size), before.subarray(offset, offset + size)) > 0,
    );
    expect(moved.map(({ part }) => part)).toEqual(['value', 'value']);
    expect(policy.moments!.steps).toEqual({ trunk: 0, value: 1 });
  });

  it('reports every role, tokens that add up, and arrays of the right length', async () => {
    const records = someRecords();
    const { metrics, roles, tokens, trainedTokens } = await run(make(), {}, records);
    expect(Object.keys(roles).sort()).toEqual(['answers', 'asks']);
    expect(trainedTokens).toBe(records.reduce((n, { ids }) => n + ids.length, 0));
    expect(roles['asks'].tokens + roles['answers'].tokens).toBe(trainedTokens);
    expect(roles['asks']['gradient/share'] + roles['answers']['gradient/share']).toBeCloseTo(1, 6);
    for (const name of [
      'losses/policy',
      'losses/value',
      'losses/approx_kl',
      'losses/clipfrac',
      'losses/entropy',
      'losses/explained_variance',
      'grad_norm',
      'lr',
      'rollout/logprob_gap',
      'reward/mean',
    ])
      expect(metrics[name], name).toSatisfy(Number.isFinite);
    for (const { record, advantages, returns } of tokens) {
      const { ids, reward } = records.find((one) => one.record === record)!;
      expect(advantages.length).toBe(ids.length);
      expect(returns.at(-1)).toBeCloseTo(reward, 4);
    }
  });

  it('tells of each token what its last pass saw: ratio, clipping and KL are those of the metrics', async () => {
    const settings = { epochs: 1, miniBatches: 3, lr: 1e-2, clip: 0.01 };
    const { metrics, tokens } = await run(make(), settings);
    const all = tokens.flatMap(({ oldLogprobs, newLogprobs, advantages }) =>
      Array.from(newLogprobs, (one, t) => ({ logratio: one - oldLogprobs[t], advantage: advantages[t] })),
    );
    const mean = (of: (token: (typeof all)[number]) => number): number =>
      all.reduce((sum, token) => sum + of(token), 0) / all.length;
    const clipped = ({ logratio, advantage }: (typeof all)[number]): number =>
      Number(advantage > 0 ? Math.exp(logratio) > 1.01 : advantage < 0 && Math.exp(logratio) < 0.99);
    expect(metrics['losses/clipfrac']).toBeGreaterThan(0);
    expect(mean(clipped)).toBeCloseTo(metrics['losses/clipfrac'], 6);
    expect(mean(({ logratio }) => Math.exp(logratio) - 1 - logratio)).toBeCloseTo(metrics['losses/approx_kl'], 6);
  });

  it('each role’s own gradient adds up to the whole one, and measuring it changes nothing', async () => {
    const alone = { valueCoef: 0, estimator: 'dr-grpo', group: 'query', miniBatches: 1, whiten: 'none' } as const;
    const [measured, unmeasured] = [make(), make()];
    const { metrics, roles } = await run(measured, { ...alone, roleGradients: 1, tokenBudget: 12 });
    const without = await run(unmeasured, { ...alone, roleGradients: 0, tokenBudget: 12 });
    expect(weights(measured)).toEqual(weights(unmeasured));
    const [a, b] = [roles['answers']['gradient/norm'], roles['asks']['gradient/norm']];
    const cosine = metrics['gradient/cosine/answers~asks'];
    expect(Math.abs(cosine)).toBeLessThanOrEqual(1);
    expect(Math.sqrt(a * a + b * b + 2 * a * b * cosine) / metrics.grad_norm).toBeCloseTo(1, 4);
    expect(Object.keys(without.metrics).filter((name) => name.startsWith('gradient/'))).toEqual([]);
    const onlyOne = someRecords().map((record) => ({ ...record, role: 'asks' }));
    const lone = await run(make(), { ...alone, roleGradients: 1 }, onlyOne);
    expect(lone.roles['asks']['gradient/norm'] / lone.metrics.grad_norm).toBeCloseTo(1, 6);
    const besideCritic = await run(
      make(),
      { ...alone, valueCoef: 0.5, valueGradient: 'trunk', roleGradients: 1 },
      onlyOne,
    );
    expect(besideCritic.roles['asks']['gradient/norm'] / lone.metrics.grad_norm).toBeCloseTo(1, 4);
    expect(besideCritic.metrics.grad_norm / lone.metrics.grad_norm).not.toBeCloseTo(1, 4);
    expect((await run(make(), { roleGradients: 2 }, undefined, 1)).roles['asks']).not.toHaveProperty('gradient/norm');
  });

  it('copies of one role are compared as two roles would be, and make the role’s gradient together', async () => {
    const settings = { valueCoef: 0, estimator: 'dr-grpo', group: 'query', miniBatches: 1, whiten: 'none', roleGradients: 1 } as const; // prettier-ignore
    const apart = await run(make(), settings, someRecords());
    const copied = someRecords().map((record) => ({ ...record, role: 'votes', copy: record.role === 'asks' ? 0 : 1 }));
    const together = await run(make(), settings, copied);
    const cosine = apart.metrics['gradient/cosine/answers~asks'];
    const [a, b] = [apart.roles['answers']['gradient/norm'], apart.roles['asks']['gradient/norm']];
    const { 'gradient/copies': copies, 'gradient/norm': norm } = together.roles['votes'];
    expect(copies).toBeCloseTo(cosine, 5);
    expect(norm / Math.sqrt(a * a + b * b + 2 * a * b * cosine)).toBeCloseTo(1, 4);
    expect(together.metrics).not.toHaveProperty('gradient/cosine/votes~votes');
    expect(apart.roles['asks']).not.toHaveProperty('gradient/copies');
  });

  it.each(['gae', 'grpo', 'dr-grpo', 'rloo', 'reinforce'] as const)(
    'estimator %s trains with every place of KL',
    async (estimator) => {
      for (const place of ['none', 'reward', 'loss'] as const) {
        const policy = make(LORA);
        const { metrics } = await run(policy, {
          estimator,
          kl: { kind: 'k2', place, coef: 0.1 },
          importanceCap: 2,
          epochs: 2,
        });
        expect(weights(policy).every(Number.isFinite)).toBe(true);
        expect('losses/reference_kl' in metrics).toBe(place !== 'none');
      }
    },
  );

  it('halves the micro-batch when memory runs out, says so, and learns the same', async () => {
    const expected = await after(SETTINGS);
    const policy = make();
    const { trunk } = policy;
    const small: Policy = new Proxy(policy, {
      get: (target, key) => {
        if (key !== 'trunk') {
          const value = Reflect.get(target, key, target) as unknown;
          return typeof value === 'function' ? value.bind(target) : value;
        }
        const forwardAt: typeof trunk.forwardAt = (batch, rows, using) => {
          const states = trunk.forwardAt(batch, rows, using);
          if (batch.ids.length > 30) throw new OutOfMemory(1 << 30, 'a small device');
          return states;
        };
        return { ...trunk, forwardAt };
      },
      set: (target, key, value) => Reflect.set(target, key, value, target),
    });
    const live = tf.memory().numTensors;
    const first = await run(small, { tokenBudget: 100 });
    const second = await run(small, { tokenBudget: 100 }, someRecords(), 1);
    expect(first.notes).toEqual([
      'micro-batch halved to 50 tokens: out of memory',
      'micro-batch halved to 25 tokens: out of memory',
    ]);
    expect(second.notes).toEqual([]);
    expect(gap(weights(policy), expected)).toBeLessThan(2e-5);
    policy.changed();
    expect(tf.memory().numTensors).toBeLessThanOrEqual(live);
    const tooLong = { ...someRecords(1)[0], promptIds: Array.from({ length: 60 }, () => 1) };
    await expect(run(small, {}, [tooLong])).rejects.toThrow(/one sequence of 60 tokens/);
  });

  it('leaves no tensors behind', async () => {
    const policy = make();
    await run(policy);
    policy.changed();
    const live = tf.memory().numTensors;
    await run(
      policy,
      { valueGradient: 'trunk', miniBatches: 3, kl: { kind: 'k3', place: 'loss', coef: 0.1 } },
      someRecords(),
      1,
    );
    await run(policy, { criticWarmup: 9 }, someRecords(), 2);
    policy.changed();
    expect(tf.memory().numTensors).toBe(live);
  });

  it('stops when cancelled, with the policy as it was', async () => {
    const policy = make();
    const before = weights(policy);
    let calls = 0;
    const hooks: Hooks = { ...HOOKS, cancelled: () => ++calls > 3 };
    await expect(updatePolicy(policy, someRecords(), { ...SETTINGS, tokenBudget: 10 }, 0, hooks)).rejects.toThrow(
      Cancelled,
    );
    expect(weights(policy)).toEqual(before);
  });

  it('refuses what it cannot train on, in one sentence', async () => {
    const [one, ...rest] = someRecords();
    const policy = make();
    await expect(run(policy, {}, [one, one])).rejects.toThrow(/settled twice/);
    await expect(run(policy, {}, [{ ...one, reward: NaN }, ...rest])).rejects.toThrow(/reward of NaN/);
    await expect(run(policy, {}, [{ ...one, ids: [199], logprobs: [0] }])).rejects.toThrow(/token 199/);
    await expect(run(policy, {}, [{ ...one, promptIds: [] }])).rejects.toThrow(/empty prompt/);
    await expect(run(policy, {}, [{ ...one, promptIds: Array(300).fill(1) }])).rejects.toThrow(/reads 256/);
    await expect(run(policy, {}, [{ ...one, ids: [], logprobs: [] }])).rejects.toThrow(/no response/);
    await expect(run(policy, { clip: NaN })).rejects.toThrow(/setting clip/);
    await expect(run(policy, { lrDecay: 'linear', totalSteps: 0 })).rejects.toThrow(/totalSteps/);
    await expect(run(make({ ...FULL, frozen: true }))).rejects.toThrow(/frozen/);
  });

  it('takes a single token and a batch smaller than its mini-batches', async () => {
    const policy = make();
    const { metrics } = await run(policy, { miniBatches: 4 }, [{ ...someRecords(1)[0], ids: [7], logprobs: [-1] }]);
    expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
    expect(weights(policy).every(Number.isFinite)).toBe(true);
  });

  it('fine-tunes on responses alone, by role, and lowers their loss', async () => {
    const policy = make(LORA);
    const settings = { ...sftSettings({ parameters: 1e5, method: 'lora', totalSteps: 5 }), lr: 1e-2 };
    const examples = someRecords().map(({ promptIds, ids, role }) => ({ promptIds, ids, role }));
    const first = await fineTune(policy, examples, settings, 0, HOOKS);
    let last = first;
    for (let step = 1; step < 12; step++) last = await fineTune(policy, examples, settings, step, HOOKS);
    expect(last.loss).toBeLessThan(first.loss - 0.3);
    const { asks, answers } = first.roles;
    expect((asks.loss * asks.tokens + answers.loss * answers.tokens) / first.trainedTokens).toBeCloseTo(first.loss, 4);
    await expect(fineTune(policy, [{ promptIds: [1], ids: [], role: 'x' }], settings, 0, HOOKS)).rejects.toThrow(
      /no response/,
    );
    expect(policy.moments!.steps).toEqual({ trunk: 12, value: 0 });
  });
});
