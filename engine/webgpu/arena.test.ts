/** What lives at the same time never shares memory, and what does not, does. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layOut } from './arena.ts';

const lifetimes = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.nat(20), fc.nat(5)), { maxLength: 30 })
  .map((list) => list.map(([bytes, first, length], i) => ({ name: `t${i}`, bytes, first, last: first + length })));

describe('layOut', () => {
  it('keeps apart what lives at the same time, in buffers large enough', () => {
    fc.assert(
      fc.property(lifetimes, (list) => {
        const { sizes, places, bytes } = layOut(list);
        for (const a of list) {
          expect(sizes[places.get(a.name)!]).toBeGreaterThanOrEqual(a.bytes);
          for (const b of list)
            if (a !== b && a.first <= b.last && b.first <= a.last)
              expect(places.get(a.name)).not.toBe(places.get(b.name));
        }
        const atOnce = (step: number): number =>
          list.filter(({ first, last }) => first <= step && step <= last).reduce((sum, t) => sum + t.bytes, 0);
        expect(bytes).toBeGreaterThanOrEqual(Math.max(0, ...Array.from({ length: 26 }, (_, step) => atOnce(step))));
      }),
    );
  });

  it('shares between what follows one another', () => {
    const { sizes } = layOut([
      { name: 'a', bytes: 10, first: 0, last: 1 },
      { name: 'b', bytes: 8, first: 1, last: 2 },
      { name: 'c', bytes: 10, first: 2, last: 3 },
    ]);
    expect(sizes).toEqual([10, 8]);
  });
});
