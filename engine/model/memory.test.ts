/** Memory estimates against what was measured: 1,200 tokens of a 135M model took 1.5 GB with an adapter, 1.7 GB fully. */
import { describe, expect, it } from 'vitest';
import type { ModelConfig } from '../formats/config.ts';
import { cacheBytesPerToken, estimateMemory, tokensThatFit } from './memory.ts';

const SMOLLM: ModelConfig = {
  ...{
    architecture: 'llama',
    hidden: 576,
    intermediate: 1536,
    layers: 30,
    heads: 9,
    kvHeads: 3,
    headDim: 64,
    vocab: 49152,
  },
  ...{
    contextLength: 8192,
    ropeTheta: 100_000,
    ropeScaling: null,
    rmsEps: 1e-5,
    tied: true,
    attentionBias: false,
    qkNorm: false,
  },
  ...{ eosIds: [2], bosId: 1, padId: null },
};
const WEIGHTS = 134_515_008 * 4;

describe('memory estimates', () => {
  it('count keys and values', () => expect(cacheBytesPerToken(SMOLLM)).toBe(30 * 3 * 64 * 2 * 4));

  it('let a 135M model train on several sequences at once within 4 GiB, with an adapter on more', () => {
    const full = tokensThatFit(SMOLLM, 3 * WEIGHTS, 300);
    const lora = tokensThatFit(SMOLLM, WEIGHTS, 300);
    expect(full).toBeGreaterThan(1000);
    expect(full).toBeLessThan(1900);
    expect(lora).toBeGreaterThan(full);
    expect(lora).toBeLessThan(2800);
  });

  it('never fall below one token, and grow with what is trained', () => {
    expect(tokensThatFit(SMOLLM, 2 ** 33, 300)).toBe(1);
    const { run, trainFull, trainLora } = estimateMemory(SMOLLM, WEIGHTS / 4);
    expect(run).toBeGreaterThan(WEIGHTS);
    expect(trainLora).toBeGreaterThan(run);
    expect(trainFull).toBeGreaterThan(trainLora);
  });
});
