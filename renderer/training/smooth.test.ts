import { describe, expect, it } from 'vitest';
import { smooth } from './smooth.ts';

const steps = Array.from({ length: 41 }, (_, i) => i);
const noise = (i: number) => Math.sin(i * 2.7) * 0.2;
const close = (values: readonly (number | null)[], expected: readonly number[], digits: number) =>
  values.forEach((value, i) => expect(value, `at ${i}`).toBeCloseTo(expected[i], digits));

describe('smoothing', () => {
  it('leaves a straight line as it is, to its very ends', () => {
    const line = steps.map((step) => 3 - 0.5 * step);
    close(smooth(steps, line, 15), line, 9);
  });
  it('takes noise away without lagging behind a rising curve', () => {
    const rising = steps.map((step) => step / 10);
    const smoothed = smooth(
      steps,
      rising.map((value, i) => value + noise(i)),
      15,
    );
    const worst = Math.max(...smoothed.map((value, i) => Math.abs(value! - rising[i])));
    expect(worst).toBeLessThan(0.12);
    expect(smoothed[40]).toBeGreaterThan(3.85);
  });
  it('keeps gaps, counts them nowhere, and minds uneven steps', () => {
    const uneven = [0, 1, 2, 5, 9, 10, 30];
    const values = [0, 1, null, 5, 9, 10, 30];
    close(
      smooth(uneven, values, 10).filter((value) => value !== null),
      [0, 1, 5, 9, 10, 30],
      9,
    );
    expect(smooth(uneven, values, 10)[2]).toBeNull();
  });
  it('does nothing where it is off or has too few neighbours', () => {
    expect(smooth([0, 1, 2], [1, 5, 1], 0)).toEqual([1, 5, 1]);
    expect(smooth([0, 10, 20], [1, 5, 1], 5)).toEqual([1, 5, 1]);
    expect(smooth([], [], 5)).toEqual([]);
  });
});
