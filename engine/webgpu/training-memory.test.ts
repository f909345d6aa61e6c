/** The plan of a training step's memory: where layers keep less, and what a model of half a billion parameters takes. */
import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../formats/config.ts';
import { trainingBytes } from './training-memory.ts';

const QWEN: ModelConfig = {
  ...{ architecture: 'qwen2', hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, headDim: 64 },
  ...{ vocab: 151_936, contextLength: 32_768, ropeTheta: 1e6, ropeScaling: null, rmsEps: 1e-6, tied: true },
  ...{ attentionBias: true, qkNorm: false, eosIds: [], bosId: null, padId: null },
};
const LORA_16 = 16 * 549_888;

describe('the memory plan of a training step', () => {
  it('fits a LoRA step of 4,096 tokens of Qwen2.5-0.5B into 4 GiB', () => {
    const { weights, total } = trainingBytes(QWEN, { rows: 4096, asked: 2048, trained: LORA_16 });
    expect(weights).toBe(4 * 494_032_768);
    expect(total).toBeLessThan(4 * 2 ** 30);
  });

  it('fits the same where products read their operands from textures', () => {
    const load = { rows: 4096, asked: 2048, trained: LORA_16 };
    const { total, texels } = trainingBytes(QWEN, { ...load, texels: true });
    expect(texels).toBeGreaterThan(2 * 4 * 4096 * 4864);
    expect(total).toBe(trainingBytes(QWEN, load).total + texels);
    expect(total).toBeLessThan(4 * 2 ** 30);
  });

  it('keeps little more than half where what flows is half floats', () => {
    const load = { rows: 4096, asked: 2048, trained: LORA_16, texels: true };
    const [floats, halves] = [trainingBytes(QWEN, load), trainingBytes(QWEN, { ...load, activations: 'f16' })];
    for (const part of ['working', 'texels', 'total'] as const) expect(halves[part]).toBeLessThan(floats[part]);
    expect([halves.weights, halves.optimiser, halves.head]).toEqual([floats.weights, floats.optimiser, floats.head]);
    // All layers keep more than may be kept; with fewer tokens neither is cut.
    const few = { ...load, rows: 512 };
    const kept = trainingBytes(QWEN, { ...few, activations: 'f16' }).kept / trainingBytes(QWEN, few).kept;
    expect(kept).toBeGreaterThan(0.5);
    expect(kept).toBeLessThan(0.6);
  });

  it('adds up, and grows with every row', () => {
    const small = trainingBytes(QWEN, { rows: 256, asked: 128, trained: LORA_16 });
    const large = trainingBytes(QWEN, { rows: 512, asked: 128, trained: LORA_16 });
    const { total, ...parts } = small;
    expect(Object.values(parts).reduce((a, b) => a + b)).toBe(total);
    expect(large.kept).toBe(2 * small.kept); // both keep everything
    expect(large.total).toBeGreaterThan(total);
  });
});
