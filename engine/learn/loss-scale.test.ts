/** The scale of a loss: halved until a gradient is finite, doubled after a stretch of good steps, read from a checkpoint. */
import { describe, expect, it } from 'vitest';
import { countGoodStep, newLossScale, readLossScale, underScale, type LossScale } from './loss-scale.ts';

/** A gradient that is finite below a scale. */
function attempts(lossScale: LossScale | null, finiteBelow: number): { scales: number[]; attempt(): Promise<number> } {
  const scales: number[] = [];
  return {
    scales,
    attempt: async () => {
      const scale = lossScale?.scale ?? 1;
      scales.push(scale);
      return scale < finiteBelow ? 0.5 : NaN;
    },
  };
}

describe('the loss scale', () => {
  it('halves until the gradient is finite, and says so once', async () => {
    const lossScale = { scale: 2 ** 16, good: 7 };
    const { scales, attempt } = attempts(lossScale, 2 ** 14);
    const notes: string[] = [];
    expect(await underScale({ lossScale }, notes, attempt)).toBe(0.5);
    expect(scales).toEqual([2 ** 16, 2 ** 15, 2 ** 14, 2 ** 13]);
    expect(lossScale).toEqual({ scale: 2 ** 13, good: 0 });
    expect(notes).toEqual(['the loss scale went from 65,536 to 8,192: gradients were too large for half floats']);
  });

  it('is as it was where no scale helps', async () => {
    const lossScale = { scale: 8, good: 7 };
    const { scales, attempt } = attempts(lossScale, 0);
    const notes: string[] = [];
    expect(await underScale({ lossScale }, notes, attempt)).toBe(NaN);
    expect(scales).toEqual([8, 4, 2, 1]);
    expect([lossScale.scale, notes]).toEqual([8, []]);
  });

  it('leaves alone what has none', async () => {
    const { scales, attempt } = attempts(null, 0);
    expect(await underScale({ lossScale: null }, [], attempt)).toBe(NaN);
    expect(scales).toEqual([1]);
    countGoodStep({ lossScale: null });
  });

  it('doubles after a hundred good steps, up to a limit', () => {
    const lossScale = newLossScale();
    for (let step = 0; step < 99; step++) countGoodStep({ lossScale });
    expect(lossScale).toEqual({ scale: 2 ** 16, good: 99 });
    countGoodStep({ lossScale });
    expect(lossScale).toEqual({ scale: 2 ** 17, good: 0 });
    const most = { scale: 2 ** 30, good: 99 };
    countGoodStep({ lossScale: most });
    expect(most).toEqual({ scale: 2 ** 30, good: 0 });
  });

  it('is read from a checkpoint, but no other numbers', () => {
    expect(readLossScale({ scale: 1024, good: 3 })).toEqual({ scale: 1024, good: 3 });
    for (const bad of [
      null,
      1024,
      { scale: 1000, good: 3 },
      { scale: 0.5, good: 3 },
      { scale: 2 ** 31, good: 3 },
      { scale: 8, good: 100 },
      { scale: 8 },
      { scale: 'NaN', good: 1 },
    ])
      // prettier-ignore
      expect(() => readLossScale(bad)).toThrow("The checkpoint's loss scale is");
  });
});
