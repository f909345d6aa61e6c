import { describe, expect, it } from 'vitest';
import { generator } from '../random.ts';
import { pairedBootstrap } from './bootstrap.ts';

describe('the paired bootstrap', () => {
  it('is certain where every difference is the same, and a function of its seed', () => {
    expect(pairedBootstrap([[0.25, 0.25, 0.25]])).toEqual({ mean: 0.25, low: 0.25, high: 0.25 });
    const noisy = [[0, 1, 0, 0.5, -1]];
    expect(pairedBootstrap(noisy)).toEqual(pairedBootstrap(noisy));
    expect(pairedBootstrap(noisy, 500, 1)).not.toEqual(pairedBootstrap(noisy, 500, 2));
  });

  it('comes near the normal interval for many questions and one seed', () => {
    const random = generator(3);
    const differences = Array.from({ length: 400 }, () => random() - 0.4); // mean 0.1, sd 1/√12
    const { mean, low, high } = pairedBootstrap([differences]);
    const half = 1.96 / Math.sqrt(12) / 20;
    expect(high - mean).toBeCloseTo(half, 2);
    expect(mean - low).toBeCloseTo(half, 2);
  });

  it('grows with what seeds differ by', () => {
    const agree = [Array(50).fill(0.1), Array(50).fill(0.1), Array(50).fill(0.1)] as number[][];
    const differ = [Array(50).fill(-0.2), Array(50).fill(0.1), Array(50).fill(0.4)] as number[][];
    expect(pairedBootstrap(agree).low).toBeCloseTo(0.1, 10);
    const wide = pairedBootstrap(differ);
    // Three seeds drawn three times: the mean is -0.2 with probability 1/27, more than 2.5 %.
    expect([wide.low, wide.high]).toEqual([expect.closeTo(-0.2, 10), expect.closeTo(0.4, 10)]);
    expect(wide.mean).toBeCloseTo(0.1, 10);
  });
});
