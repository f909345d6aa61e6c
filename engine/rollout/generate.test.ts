/** Generation on wasm: the same tokens whatever the batch and padding, and every way a sequence can end. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import type { Trunk, Wanted } from '../model/trunk.ts';
import type { Generation, Sampling } from '../protocol.ts';
import { planBatches, planStage, type Job } from './batches.ts';
import { generate, Rollout, type Order, type Speaker } from './generate.ts';
import { score } from './score.ts';

const CONFIG: ModelConfig = {
  ...{ architecture: 'qwen3', hidden: 48, intermediate: 88, layers: 3, heads: 6, kvHeads: 2, headDim: 20, vocab: 211 },
  ...{
    contextLength: 300,
    ropeTheta: 10_000,
    ropeScaling: null,
    rmsEps: 1e-6,
    tied: true,
    attentionBias: false,
    qkNorm: true,
  },
  ...{ eosIds: [7], bosId: null, padId: null },
};
const SAMPLING: Sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 24, stop: [], seed: 5 };

const ROOMY = { cacheBytes: 2e9, prefillBytes: 2e9, slots: 64 };

let device: Device;
let speaker: Speaker;

/** Prompts of 3 to 70 tokens. */
const orders = (count: number): Order[] =>
  Array.from({ length: count }, (_, i) => ({
    record: `r${i}`,
    promptIds: Array.from({ length: 3 + ((i * 29) % 68) }, (_, j) => (i * 31 + j * 17) % CONFIG.vocab),
    sampling: { ...SAMPLING, seed: 100 + i, temperature: i % 3 === 0 ? 0 : 1, topP: i % 4 === 1 ? 0.9 : 1 },
  }));

beforeAll(async () => {
  device = await openDevice('wasm');
  const weights: Record<string, tf.Tensor> = {};
  let seed = 1;
  for (const [name, shape] of parameterShapes(CONFIG))
    weights[name] = name.includes('norm')
      ? tf.ones([...shape])
      : tf.randomNormal([...shape], 0, 0.15, 'float32', seed++);
  speaker = { trunk: makeTfjsTrunk(CONFIG), using: { weights, adapter: null }, tokenizer: null };
});
afterAll(() => device.close());

describe('generate', () => {
  it('gives a batch of one and a batch of sixteen the same tokens, log-probs and entropies, to the bit', async () => {
    const together = await generate(speaker, orders(16));
    for (const [i, order] of orders(16).entries()) {
      const [alone] = await generate(speaker, [order]);
      expect(alone).toEqual(together[i]);
    }
  });

  it('gives the same whatever stands beside it and however the budget cuts the batch', async () => {
    const [first] = await generate(speaker, orders(1));
    const long: Order = {
      record: 'long',
      promptIds: Array.from({ length: 230 }, (_, i) => i % CONFIG.vocab),
      sampling: SAMPLING,
    };
    expect((await generate(speaker, [long, ...orders(9)]))[1]).toEqual(first);
    expect((await generate(speaker, orders(9), { budget: { ...ROOMY, slots: 2 } }))[0]).toEqual(first);
  });

  it('gives 32 requests that pass through 5 slots the tokens of 32 single ones', async () => {
    const some = orders(32).map((order, i) => ({
      ...order,
      sampling: { ...order.sampling, maxTokens: 1 + ((i * 11) % 24) },
    }));
    const before = tf.memory().numTensors;
    const started: string[] = [];
    const together = await generate(speaker, some, {
      budget: { ...ROOMY, slots: 5 },
      onToken: (record) => started.includes(record) || started.push(record),
    });
    expect(tf.memory().numTensors).toBe(before);
    expect(started.length).toBe(32);
    for (const [i, order] of some.entries()) expect((await generate(speaker, [order]))[0]).toEqual(together[i]);
  });

  it('takes in who asks while it runs, policies of other weights too', async () => {
    const other = { ...speaker.using, weights: { ...speaker.using.weights } };
    const [wanted] = await generate(speaker, orders(1));
    const late: Promise<Generation[]>[] = [];
    const rollout: Rollout = new Rollout(speaker.trunk, null, {});
    const first = rollout.ask(orders(6), speaker.using, {
      onToken: () => {
        if (late.length === 0) for (const using of [speaker.using, other]) late.push(rollout.ask(orders(3), using));
      },
    });
    await rollout.run();
    expect((await first)[0]).toEqual(wanted);
    for (const answers of late) expect(await answers).toEqual((await first).slice(0, 3));
  });

  it('opens a cache as wide as those who come later can use, where what is left of the first is narrow', async () => {
    const opened: number[] = [];
    const trunk = Object.create(speaker.trunk, {
      openCache: {
        value: (...[slots, ...rest]: Parameters<Trunk['openCache']>) => {
          opened.push(slots);
          return speaker.trunk.openCache(slots, ...rest);
        },
      },
    }) as Trunk;
    const alone = await generate(speaker, orders(12));
    let late: Promise<Generation[]> | null = null;
    const rollout: Rollout = new Rollout(trunk, null, {});
    const first = rollout.ask(orders(1), speaker.using, {
      onToken: () => void (late ??= rollout.ask(orders(12), speaker.using)),
    });
    await rollout.run();
    expect(await first).toEqual(alone.slice(0, 1));
    expect(await late!).toEqual(alone);
    expect(opened).toEqual([1, 12]);
  });

  it('agrees with whole-sequence scoring', async () => {
    const generations = await generate(speaker, orders(5));
    const scored = await score(speaker.trunk, speaker.using, generations);
    for (const [i, { logprobs, entropy }] of generations.entries()) {
      for (let t = 0; t < logprobs.length; t++) {
        expect(scored[i].logprobs[t]).toBeCloseTo(logprobs[t], 3);
        expect(scored[i].entropy[t]).toBeCloseTo(entropy[t], 3);
      }
    }
  });

  it('leaves no tensor behind', async () => {
    await generate(speaker, orders(4));
    const before = tf.memory().numTensors;
    await generate(speaker, orders(4));
    expect(tf.memory().numTensors).toBe(before);
  });

  it('ends by end token, by length and by context, each said so', async () => {
    const generations = await generate(speaker, orders(40));
    const ended = generations.filter(({ finish }) => finish === 'stop');
    expect(ended.length).toBeGreaterThan(0);
    for (const { ids } of ended) expect(ids.indexOf(7)).toBe(ids.length - 1);
    const full = generations.filter(({ finish }) => finish === 'length');
    for (const { ids } of full) expect(ids.length).toBe(24);
    const near: Order = {
      record: 'near',
      promptIds: Array.from({ length: 298 }, (_, i) => (i % 200) + 8),
      sampling: SAMPLING,
    };
    const over: Order = { record: 'over', promptIds: Array.from({ length: 300 }, () => 9), sampling: SAMPLING };
    const [nearly, none] = await generate(speaker, [near, over]);
    expect(['context', 'stop']).toContain(nearly.finish);
    expect(nearly.ids.length).toBeLessThanOrEqual(2);
    expect(none).toMatchObject({ finish: 'context', ids: [] });
  });

  it('stops when cancelled and keeps what it has', async () => {
    let tokens = 0;
    const generations = await generate(speaker, orders(3), {
      onToken: () => void tokens++,
      cancelled: () => tokens >= 9,
    });
    expect(
      generations.every(({ finish, ids }) => finish === 'stop' || (finish === 'cancelled' && ids.length <= 3)),
    ).toBe(true);
    expect(generations.some(({ finish }) => finish === 'cancelled')).toBe(true);
  });
});

describe('planBatches', () => {
  const jobs = [90, 10, 12, 95, 11].map((length, index): Job => ({ index, length }));
  it('puts like lengths together within the budget and loses none', () => {
    const batches = planBatches(jobs, CONFIG, { ...ROOMY, slots: 3 });
    expect(batches.map((batch) => batch.map((job) => job.length))).toEqual([
      [10, 11, 12],
      [90, 95],
    ]);
  });
  it('lets a job that exceeds the budget stand alone', () => {
    expect(
      planBatches(jobs, CONFIG, { cacheBytes: 1, prefillBytes: 1, slots: 3 }).map((batch) => batch.length),
    ).toEqual([1, 1, 1, 1, 1]);
  });
});

describe('planStage', () => {
  const bytes = (positions: number): number => positions * 3 * 2 * 20 * 2 * 4;
  /** Of each its span, what it begins with, and up to where. */
  const wanted = (...some: [span: number, own: number, shared: number][]): Wanted[] =>
    some.map(([span, own, shared]) => ({
      span,
      promptIds: Array.from({ length: Math.min(span, 300) }, (_, i) => (i < shared ? i : own)),
    }));
  const spans = (...some: number[]): Wanted[] => wanted(...some.map((span, i) => [span, i, 0] as [number, number, number])); // prettier-ignore
  const slots = { config: CONFIG, page: null };
  const pages = { config: CONFIG, page: 64 };

  it('seats all at once where they fit, the longest deciding', () =>
    expect(planStage(spans(10, 700, 90), slots, ROOMY)).toEqual({ slots: 3, capacity: 704, positions: 2112 }));
  it('leaves the long ones for later where they would cost the others their slots', () =>
    expect(planStage(spans(10, 700, 90), slots, { ...ROOMY, cacheBytes: bytes(256) })).toEqual({
      ...{ slots: 2, capacity: 128, positions: 256 },
    }));
  it('has a slot for a sequence that exceeds the budget', () => {
    const one = { slots: 1, capacity: 512, positions: 512 };
    expect(planStage(spans(500), slots, { ...ROOMY, cacheBytes: 1 })).toEqual(one);
    expect(planStage(spans(500), pages, { ...ROOMY, cacheBytes: 1 })).toEqual(one);
  });
  it('takes pages for each its own span, those they begin with alike once', () => {
    expect(planStage(spans(10, 700, 90), pages, ROOMY)).toEqual({ slots: 3, capacity: 704, positions: 64 * 14 });
    const siblings = wanted([330, 1, 200], [330, 2, 200], [330, 3, 150], [20, 4, 0]);
    // 200 tokens alike are three whole pages of six, 150 are two.
    expect(planStage(siblings, pages, ROOMY).positions).toBe(64 * (6 + 3 + 4 + 1));
  });
  it('has as many slots as find pages together, and pages for longer ones to come', () => {
    const few = { ...ROOMY, cacheBytes: bytes(64 * 12) };
    expect(planStage(wanted([330, 1, 250], [330, 2, 250], [330, 3, 250], [330, 4, 250]), pages, few)).toEqual({
      ...{ slots: 3, capacity: 384, positions: 768 },
    });
    expect(planStage(spans(60, 60, 330), pages, { ...few, slots: 2 })).toEqual({
      ...{ slots: 2, capacity: 384, positions: 64 * 7 },
    });
  });
});
