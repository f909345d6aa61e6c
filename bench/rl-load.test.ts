/** A measured step's load: its tokens, and the least time against sums made by hand. */
import { expect, it } from 'vitest';
import {
  besidePublished,
  leastSeconds,
  methodOf,
  ordersOf,
  PRESETS,
  promptTokens,
  PUBLISHED,
  recordsOf,
  responseTokens,
  type Load,
} from './rl-load.ts';
import { shapeNamed } from './models.ts';

const load = (changed: Partial<Load> = {}): Load => ({
  ...{
    config: shapeNamed('nano'),
    weights: 'f32',
    activations: 'f32',
    queries: 3,
    tokens: 5,
    method: methodOf('lora'),
    settings: {},
  },
  roles: [{ role: 'a', shared: 4, own: 2 }],
  ...changed,
});

it('has as many records and tokens as roles and queries ask for', () => {
  const own = load({ roles: PRESETS['qd-answer'].roles, queries: 128, tokens: 512 });
  expect([recordsOf(own), promptTokens(own), responseTokens(own)]).toEqual([256, 128 * (192 + 256), 256 * 512]);
  expect(PRESETS['verl'].queries).toBe(PUBLISHED.prompts);
  const { generation, reference, values, critic, actor } = PUBLISHED.parts;
  expect(generation + reference + values + critic + actor).toBeCloseTo(PUBLISHED.seconds, 1);
});

it('asks each query something of its own after what all share', () => {
  const own = load();
  const [first, second] = ordersOf(own, own.roles[0], 0).map(({ promptIds }) => promptIds);
  expect(second.slice(0, 4)).toEqual(first.slice(0, 4));
  expect(second.slice(4)).not.toEqual(first.slice(4));
  expect(first).toHaveLength(6);
});

it('stands beside what is published only with as much to do', () => {
  const own = load({ roles: PRESETS['verl'].roles, queries: 256, tokens: 512 });
  expect(besidePublished(own, 'qwen2.5-0.5b', 33.8)).toMatchObject({ seconds: 67.6, timesAsFast: 2 });
  expect(besidePublished(own, 'nano', 1)).toBeNull();
  expect(besidePublished({ ...own, queries: 255 }, 'qwen2.5-0.5b', 1)).toBeNull();
  expect(besidePublished({ ...own, tokens: 128 }, 'qwen2.5-0.5b', 1)).toBeNull();
});

it('counts what a forward pass multiplies, and its multiples', () => {
  // One of nano's layers: q and o of 128 x 128, k and v of 128 x 64, three of 128 x 344, and two norms; a head of 506 x 128.
  const layers = 4 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 344 + 2 * 128) + 128;
  const keys = (4 * 5) / 2 + 3 * (7 * 4 + (7 * 8) / 2);
  const flops = 2 * layers * (4 + 3 * 7) + 2 * 506 * 128 * 15 + 4 * 4 * 128 * keys;
  const roof = { copyGBs: 1, fmaGflops: 1 };
  const lora = leastSeconds(load(), roof);
  expect(lora.scoring).toBeCloseTo(flops / 1e9, 9);
  expect(lora.update / lora.scoring).toBeCloseTo(2, 9);
  const kl = { kind: 'k1', place: 'reward', coef: 0.001 } as const;
  const full = leastSeconds(load({ method: methodOf('full'), settings: { kl } }), roof);
  expect(full.scoring / lora.scoring).toBeCloseTo(2, 9);
  expect(full.update / lora.update).toBeCloseTo(1.5, 9);
  expect(() => methodOf('half')).toThrow('There is no method half; choose of lora, full');
});
