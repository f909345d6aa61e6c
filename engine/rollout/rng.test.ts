/** Philox against its authors' published answers, and the uniforms' range, spread and independence. */
import { describe, expect, it } from 'vitest';
import { philox, PURPOSE, uniform, uniformArray } from './rng.ts';

const hex = (words: readonly number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');

describe('philox', () => {
  it('gives the known answers of Random123', () => {
    expect(hex(philox([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8');
    const ones = 0xffffffff;
    expect(hex(philox([ones, ones, ones, ones], [ones, ones]))).toBe('408f276d 41c83b0e a20bc7c6 6d5451fd');
    expect(hex(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))).toBe(
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    );
  });
});

describe('uniform', () => {
  it('depends on seed, position and purpose alone', () => {
    expect(uniform(7, 3, PURPOSE.sample)).toBe(uniform(7, 3, PURPOSE.sample));
    const others = [uniform(8, 3, PURPOSE.sample), uniform(7, 4, PURPOSE.sample), uniform(7, 3, PURPOSE.shuffle)];
    for (const other of others) expect(other).not.toBe(uniform(7, 3, PURPOSE.sample));
  });

  it('is spread evenly over [0, 1)', () => {
    const counts = new Array<number>(10).fill(0);
    for (let position = 0; position < 20_000; position++) {
      const u = uniform(1, position, PURPOSE.sample);
      expect(u >= 0 && u < 1).toBe(true);
      counts[Math.floor(u * 10)]++;
    }
    const chiSquare = counts.reduce((sum, count) => sum + (count - 2000) ** 2 / 2000, 0);
    expect(chiSquare).toBeLessThan(27.9); // 9 degrees of freedom, p = 0.001
  });

  it('fills arrays within bounds, another for every stream', () => {
    const a = uniformArray(1001, -0.5, 0.25, 1, 1, PURPOSE.adapterInit);
    expect(a.every((value) => value >= -0.5 && value < 0.25)).toBe(true);
    expect(uniformArray(1001, -0.5, 0.25, 1, 2, PURPOSE.adapterInit)).not.toEqual(a);
    expect(uniformArray(1001, -0.5, 0.25, 1, 1, PURPOSE.adapterInit)).toEqual(a);
  });
});
