/** The memory plan of a run: what a model of half a billion parameters takes, and what fits into less. */
import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../formats/config.ts';
import type { MemoryLoad, TrainMethod } from '../protocol.ts';
import { planMemory } from './memory-plan.ts';

const QWEN: ModelConfig = {
  ...{ architecture: 'qwen2', hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, headDim: 64 },
  ...{ vocab: 151_936, contextLength: 32_768, ropeTheta: 1e6, ropeScaling: null, rmsEps: 1e-6, tied: true },
  ...{ attentionBias: true, qkNorm: false, eosIds: [], bosId: null, padId: null },
};
const LORA: TrainMethod = {
  ...{ kind: 'lora', rank: 16, alpha: 32 },
  targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
};
const LOAD: MemoryLoad = {
  ...{ policies: [LORA], rollout: 'f32', sequences: 64, positions: 1024, tokenBudget: 4096, mostBytes: 4 * 2 ** 30 },
};
const BINDING = 128 * 2 ** 20;
const total = (parts: Readonly<Record<string, number>>): number => Object.values(parts).reduce((a, b) => a + b, 0);

describe('the memory plan of a run', () => {
  it.each(['f32', 'f16', 'q8', 'q4'] as const)(
    'puts LoRA on half a billion parameters beside 4 GiB, sampling on %s',
    (rollout) => {
      const { parts, peakBytes, tokenBudget } = planMemory(QWEN, { ...LOAD, rollout }, BINDING);
      if (rollout !== 'f16') expect(peakBytes).toBeLessThan(4 * 2 ** 30);
      expect(tokenBudget).toBe(rollout === 'f16' ? 2048 : 4096);
      expect(peakBytes).toBe(Math.max(total(parts.rollout), total(parts.training!)));
    },
  );

  it('says which micro-batch fits into less, and when none does', () => {
    const tight = planMemory(QWEN, { ...LOAD, mostBytes: 3.2 * 2 ** 30 }, BINDING);
    expect(tight.peakBytes).toBeGreaterThan(3.2 * 2 ** 30);
    expect(tight.tokenBudget).toBeLessThan(4096);
    const again = planMemory(QWEN, { ...LOAD, mostBytes: 3.2 * 2 ** 30, tokenBudget: tight.tokenBudget! }, BINDING);
    expect(again.peakBytes).toBeLessThanOrEqual(3.2 * 2 ** 30);
    expect(planMemory(QWEN, { ...LOAD, mostBytes: 2 ** 30 }, BINDING).tokenBudget).toBe(null);
  });

  it('takes half the room for keys of half floats, where that is not taken by more sequences', () => {
    const keys = (load: Partial<MemoryLoad>): number =>
      planMemory(QWEN, { ...LOAD, ...load }, BINDING).parts.rollout['keys and values'];
    const page = 24 * 2 * 64 * 2 * 64; // numbers
    expect(keys({ sequences: 8, keys: 'f16' })).toBe(keys({ sequences: 8 }) / 2);
    // As many pages as the budget has, and the one that nobody reads.
    expect(keys({ sequences: 256, keys: 'f16' }) - 2 * page).toBe(keys({ sequences: 256 }) - 4 * page);
  });

  it('takes less to train with half floats', () => {
    const [floats, halves] = (['f32', 'f16'] as const).map((activations) =>
      planMemory(QWEN, { ...LOAD, activations }, BINDING),
    );
    expect(halves.parts.training!['working'] / floats.parts.training!['working']).toBeLessThan(0.7);
    expect(total(halves.parts.training!)).toBeLessThan(total(floats.parts.training!));
    expect(halves.parts.rollout).toEqual(floats.parts.rollout);
  });

  it('counts every policy, and of frozen ones nothing', () => {
    const one = planMemory(QWEN, LOAD, BINDING).parts.training!;
    const three = planMemory(QWEN, { ...LOAD, policies: [LORA, LORA, LORA, null] }, BINDING).parts.training!;
    expect(total(three) - total(one)).toBe(2 * 12 * (16 * 549_888 + 897));
    expect(planMemory(QWEN, { ...LOAD, policies: [null] }, BINDING).parts.training).toBe(undefined);
  });
});
