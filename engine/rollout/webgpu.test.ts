/** Generation on WebGPU: drawn on the device and one step ahead, it gives the tokens that the CPU gives. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice } from '../device/open.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { makeTrunk, useTrunk, type TrunkKind } from '../model/choose-trunk.ts';
import type { Adapter, ForwardWeights, Trunk } from '../model/trunk.ts';
import type { DeviceKind, Generation, Sampling } from '../protocol.ts';
import { drawOnDevice } from './device-sample.ts';
import { generate, Rollout, type Order, type Speaker } from './generate.ts';
import { chooseToken } from './sample.ts';

const CONFIG: ModelConfig = {
  ...{ architecture: 'llama', hidden: 32, intermediate: 72, layers: 2, heads: 4, kvHeads: 2, headDim: 8, vocab: 101 },
  ...{
    contextLength: 400,
    ropeTheta: 10_000,
    ropeScaling: null,
    rmsEps: 1e-6,
    tied: false,
    attentionBias: false,
    qkNorm: false,
  },
  ...{ eosIds: [7, 8, 9], bosId: null, padId: null },
};
const SAMPLING: Sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 12, stop: [], seed: 5 };

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

async function speakOn(kind: DeviceKind, use: (speaker: Speaker) => Promise<void>): Promise<void> {
  const device = await openDevice(kind);
  const weights: Record<string, tf.Tensor> = {};
  for (const [name, shape] of parameterShapes(CONFIG)) {
    const size = shape.reduce((product, d) => product * d, 1);
    weights[name] = tf.tensor(
      Float32Array.from({ length: size }, (_, i) => (name.includes('norm') ? 1 : 0.4 * Math.sin(i * 12.9898 + size))),
      [...shape],
    );
  }
  await use({ trunk: makeTrunk(CONFIG), using: { weights, adapter: null }, tokenizer: null });
  await device.close();
}

const orders = (change: Partial<Sampling>): Order[] =>
  Array.from({ length: 9 }, (_, i) => ({
    record: `r${i}`,
    promptIds: Array.from({ length: 2 + i * 5 }, (_, j) => 10 + ((i * 31 + j * 17) % 90)),
    sampling: {
      ...SAMPLING,
      seed: i,
      temperature: i % 3 === 0 ? 0 : 0.5 + 0.2 * i,
      maxTokens: 3 + ((i * 5) % 12),
      ...change,
    },
  }));

const near = (got: readonly number[], wanted: readonly number[]): void => {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i] - value)).toBeLessThan(2e-3);
};

/** On attention and feed-forward of both layers. */
function someAdapter(seed: number): Adapter {
  const rank = 4;
  const pair = (out: number, columns: number) => ({
    a: tf.randomUniform<tf.Rank.R2>([rank, columns], -0.5, 0.5, 'float32', seed),
    b: tf.randomUniform<tf.Rank.R2>([out, rank], -0.5, 0.5, 'float32', seed + 9),
  });
  const layers = [0, 1].flatMap((layer) => [
    [`model.layers.${layer}.self_attn.q_proj`, pair(32, 32)] as const,
    [`model.layers.${layer}.mlp.down_proj`, pair(32, 72)] as const,
  ]);
  return { scale: 0.5 + seed / 4, layers: Object.fromEntries(layers) };
}

describe('drawOnDevice', () => {
  it('draws what the host draws, greedy and tempered rows mixed', async () => {
    await speakOn('wasm', async () => {
      const logits = Float32Array.from({ length: 40 * 53 }, (_, i) => 3 * Math.sin(i * 7.31));
      const rows = Array.from({ length: 40 }, (_, row) => ({
        sampling: { ...SAMPLING, seed: row, temperature: row % 4 === 0 ? 0 : 0.4 + row / 20 },
        position: row * 3,
      }));
      const draw = drawOnDevice(tf.tensor2d(logits, [40, 53]), rows);
      const numbers = draw.numbers.dataSync();
      for (const [row, { sampling, position }] of rows.entries()) {
        const wanted = chooseToken(logits.subarray(row * 53, row * 53 + 53), sampling, position);
        expect(numbers[row * 3]).toBe(wanted.id);
        expect(numbers[row * 3 + 1]).toBeCloseTo(wanted.logprob, 4);
        expect(numbers[row * 3 + 2]).toBeCloseTo(wanted.entropy, 4);
      }
      expect([...draw.ids.dataSync()]).toEqual(rows.map((_, row) => numbers[row * 3]));
    });
  });
});

const CASES: { trunk: TrunkKind; change: Partial<Sampling> }[] = [
  { trunk: 'tfjs', change: {} },
  { trunk: 'tfjs', change: { topK: 5 } },
  { trunk: 'fast', change: {} },
  { trunk: 'fast', change: { topK: 5 } },
  { trunk: 'fast', change: { topP: 0.8, minP: 0.02 } },
];

describe.skipIf(absent)(`generation on WebGPU ${absent ?? ''}`, () => {
  it.each(CASES)('equals generation on wasm, with %j', { timeout: 400_000 }, async ({ trunk, change }) => {
    let wanted: Generation[] = [];
    await speakOn('wasm', async (speaker) => void (wanted = await generate(speaker, orders(change))));
    useTrunk(trunk);
    await speakOn('webgpu', async (speaker) => {
      const got = await generate(speaker, orders(change));
      expect(got.map(({ ids, finish }) => ({ ids, finish }))).toEqual(
        wanted.map(({ ids, finish }) => ({ ids, finish })),
      );
      for (const [i, { logprobs, entropy }] of got.entries()) {
        near(logprobs, wanted[i].logprobs);
        near(entropy, wanted[i].entropy);
      }
      const before = tf.memory().numTensors;
      const [alone] = await generate(speaker, orders(change).slice(4, 5));
      expect(alone.ids).toEqual(got[4].ids);
      expect(tf.memory().numTensors).toBe(before);
    });
    useTrunk('fast');
  });

  it(
    'gives 32 requests of three policies that pass through 6 slots the tokens of 32 single ones',
    { timeout: 400_000 },
    async () => {
      await speakOn('webgpu', async ({ trunk, using: { weights } }) => {
        const voices = [null, someAdapter(1), someAdapter(2)].map((adapter): ForwardWeights => ({
          weights,
          adapter,
        }));
        const cuts = [{}, { topK: 6, topP: 0.9 }, {}, { minP: 0.1 }];
        const all = Array.from({ length: 4 }, (_, i) => orders({ seed: 40 + i, ...cuts[i] })).flat().slice(0, 32); // prettier-ignore
        const rollout = new Rollout(trunk, null, { budget: { cacheBytes: 2e9, prefillBytes: 2e9, slots: 6 } });
        const answered = async (): Promise<Generation[][]> => {
          const answers = voices.map((using, v) => rollout.ask(all.filter((_, i) => i % 3 === v), using)); // prettier-ignore
          await rollout.run();
          return Promise.all(answers);
        };
        const together = await answered();
        // Again, with all that the first time left of prompts: the same, and nothing more is left.
        const before = tf.memory().numTensors;
        expect(await answered()).toEqual(together);
        expect(tf.memory().numTensors).toBe(before);
        expect(new Set(together.flat().map(({ ids }) => ids.join())).size).toBeGreaterThan(20);
        for (const [i, order] of all.entries()) {
          const [alone] = await generate({ trunk, using: voices[i % 3], tokenizer: null }, [order]);
          expect(together[i % 3][Math.floor(i / 3)].ids).toEqual(alone.ids);
        }
      });
    },
  );

  it(
    'seats the samples of a long question in the pages of a few, and gives each the tokens it has alone',
    { timeout: 400_000 },
    async () => {
      await speakOn('webgpu', async (speaker) => {
        const opened: number[][] = [];
        const trunk: Trunk = {
          ...speaker.trunk,
          openCache: (slots, capacity, voices, positions) => {
            opened.push([slots, capacity, positions!]);
            return speaker.trunk.openCache(slots, capacity, voices, positions);
          },
        };
        const question = (i: number): number[] => Array.from({ length: 140 }, (_, t) => 10 + ((i * 31 + t * 17) % 90));
        // Twelve samples of one question, then others of other lengths, each several times.
        const all = [...Array.from({ length: 12 }, () => question(0)), ...orders({}).flatMap(({ promptIds }, i) => [promptIds, [...question(1 + (i % 2)), ...promptIds]])].map((promptIds, i): Order => ({ record: `r${i}`, promptIds, sampling: { ...SAMPLING, seed: i, maxTokens: 8 + (i % 7) } })); // prettier-ignore
        // Unshared, a sample takes three pages; with a question of two whole ones in common, twelve take 2 + 12.
        const pages = 14;
        const cacheBytes = pages * 64 * CONFIG.layers * CONFIG.kvHeads * CONFIG.headDim * 2 * 4;
        const few = { budget: { cacheBytes, prefillBytes: 2e9, slots: 64 } };
        const siblings = await generate({ ...speaker, trunk }, all.slice(0, 12), few);
        expect(opened).toEqual([[12, 192, 64 * pages]]);
        const together = await generate({ ...speaker, trunk }, all, few);
        expect(together.slice(0, 12)).toEqual(siblings);
        expect(Math.max(...opened.map(([, , positions]) => positions))).toBe(64 * pages);
        for (const [i, order] of all.entries()) {
          const [alone] = await generate(speaker, [order]);
          expect(together[i].ids).toEqual(alone.ids);
        }
      });
    },
  );
});
