/** Every token of every prompt is computed once or copied from one that came before, whatever the prompts. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { promptWaves } from './prompt-tree.ts';

const prompts = fc
  .array(fc.array(fc.nat(1), { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 12 })
  .map((stems) => stems.map((stem) => Int32Array.from(stem.flatMap((id) => new Array<number>(9).fill(id)))));

describe('promptWaves', () => {
  it('takes from earlier waves only, and only what is the same', () => {
    fc.assert(
      fc.property(prompts, (all) => {
        const seen = new Set<number>();
        for (const wave of promptWaves(all)) {
          for (const { index, from, shared } of wave) {
            expect(shared).toBeLessThan(all[index].length);
            if (from === null) continue;
            expect(seen.has(from)).toBe(true);
            expect([...all[from].subarray(0, shared)]).toEqual([...all[index].subarray(0, shared)]);
          }
          for (const { index } of wave) seen.add(index);
        }
        expect(seen.size).toBe(all.length);
      }),
    );
  });

  it('computes a system prompt once, a question once, and only the last token of its other samples', () => {
    const prompt = (question: number): Int32Array => Int32Array.of(...new Array<number>(40).fill(1), ...new Array<number>(20).fill(question)); // prettier-ignore
    const waves = promptWaves([prompt(2), prompt(2), prompt(3), prompt(3)]);
    expect(waves).toEqual([
      [{ index: 0, from: null, shared: 0 }],
      [
        { index: 1, from: 0, shared: 59 },
        { index: 2, from: 0, shared: 40 },
      ],
      [{ index: 3, from: 2, shared: 59 }],
    ]);
  });
});
