/** Parts of a matrix: together the whole, each within a binding and starting where a binding may. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matrixParts } from './matrix-parts.ts';

describe('matrixParts', () => {
  it('covers every row once, within the limit, at offsets of 256 bytes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 64, max: 900 }),
        (rows, fours, fit) => {
          const columns = 4 * fours;
          const parts = matrixParts(rows, columns, fit * columns * 4);
          expect(parts[0].first).toBe(0);
          for (const [i, { first, count }] of parts.entries()) {
            expect(first + count).toBe(parts[i + 1]?.first ?? rows);
            expect(count).toBeLessThanOrEqual(fit);
            expect((first * columns * 4) % 256).toBe(0);
          }
        },
      ),
    );
  });

  it('refuses a limit below the smallest part', () => {
    expect(() => matrixParts(1000, 1024, 1000)).toThrow('64 rows of 1024 numbers exceed a binding of 1000 bytes');
  });
});
