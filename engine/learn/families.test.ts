/** Which sequences are computed behind one prefix. */
import { describe, expect, it } from 'vitest';
import { families } from './families.ts';

const run = (start: number, length: number): number[] => Array.from({ length }, (_, i) => start + i);
const all = (prompts: readonly unknown[]): number[] => prompts.map((_, i) => i);

describe('families', () => {
  it('parts two roles with long prompts of their own, though both begin alike', () => {
    const roles = [run(0, 5).concat(run(100, 200)), run(0, 5).concat(run(400, 200))];
    const prompts = Array.from({ length: 8 }, (_, i) => [...roles[i % 2], 900 + i, 950]);
    expect(families(prompts, all(prompts))).toEqual([
      [0, 2, 4, 6],
      [1, 3, 5, 7],
    ]);
  });

  it('keeps together what would save less than a micro-batch costs', () => {
    const prompts = Array.from({ length: 8 }, (_, i) => [...run(0, 50), ...run(100 * (1 + (i % 2)), 10), 900 + i, 950]);
    expect(families(prompts, all(prompts))).toHaveLength(1);
  });

  it('gives the samples of one query a family inside their role', () => {
    const role = run(0, 60);
    const query = run(200, 300);
    const prompts = [
      ...Array.from({ length: 4 }, () => [...role, ...query, 7]),
      ...Array.from({ length: 3 }, (_, i) => [...role, 900 + i, 901, 902]),
    ];
    const cut = families(prompts, all(prompts));
    expect(cut).toContainEqual([0, 1, 2, 3]);
    expect(cut).toContainEqual([4, 5, 6]);
  });

  it('holds every member once, whatever the prompts', () => {
    let seed = 7;
    const random = (n: number): number => (seed = (seed * 48271) % 2147483647) % n;
    for (let round = 0; round < 50; round++) {
      const prompts = Array.from(
        { length: 1 + random(12) },
        () =>
        Array.from({ length: 1 + random(150) }, () => random(20) === 0 ? 1 : 0), // prettier-ignore
      );
      const members = all(prompts).filter(() => random(4) > 0);
      const cut = families(prompts, members);
      expect(cut.flat().sort((a, b) => a - b)).toEqual(members);
      expect(cut.every((family) => family.length > 0)).toBe(true);
    }
  });
});
