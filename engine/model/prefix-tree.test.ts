/** The tree against a plain list of prompts: what it knows of a prompt is the longest beginning of any that was added. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixTree } from './prefix-tree.ts';

const prompts = fc.array(
  fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 12 }).map((ids) => Int32Array.from(ids)),
  { minLength: 1, maxLength: 12 },
);

const shared = (a: Int32Array, b: Int32Array): number => {
  let same = 0;
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same++;
  return same;
};

/** Keeps the ids of each stretch, so that what is found can be read. */
function grown(all: readonly Int32Array[]): PrefixTree<Int32Array> {
  const tree = new PrefixTree<Int32Array>();
  for (const prompt of all) {
    const { length } = tree.find(prompt);
    if (length < prompt.length) tree.add(prompt, prompt.slice(length), prompt.length - length);
  }
  return tree;
}

describe('the tree of beginnings', () => {
  it('finds the longest beginning, in pieces that join to it', () => {
    fc.assert(
      fc.property(prompts, prompts, (added, asked) => {
        const tree = grown(added);
        for (const prompt of asked) {
          const { length, pieces } = tree.find(prompt);
          expect(length).toBe(Math.max(...added.map((own) => shared(own, prompt))));
          const read = pieces.flatMap(({ kept, start, first, count }) => [
            ...kept.slice(first - start).slice(0, count),
          ]);
          expect(read).toEqual([...prompt.slice(0, length)]);
        }
      }),
    );
  });

  it('keeps a stretch once', () => {
    const tree = grown([[1, 2, 3, 4, 5], [1, 2, 3, 9], [1, 2, 3, 4, 5, 6], [7]].map((ids) => Int32Array.from(ids)));
    expect(tree.bytes).toBe(5 + 1 + 1 + 1);
  });

  it('drops what was used longest ago, from the ends, and spares the way to a prompt', () => {
    const [a, b, c] = [[1, 2, 3], [1, 2, 4], [5]].map((ids) => Int32Array.from(ids));
    const tree = grown([a, b, c]);
    tree.find(b);
    expect([...tree.drop(b)!]).toEqual([5]);
    expect(tree.find(c).length).toBe(0);
    expect(tree.find(a).length).toBe(3);
    expect(tree.drop(b)).toBe(null); // what b goes on from has b behind it
    expect([...tree.drop(c)!]).toEqual([4]);
    expect([...tree.drop(c)!]).toEqual([1, 2, 3]);
    expect(tree.drop(c)).toBe(null);
    expect(tree.bytes).toBe(0);
  });

  it('never counts below what it keeps', () => {
    fc.assert(
      fc.property(prompts, fc.integer({ min: 0, max: 12 }), (added, drops) => {
        const tree = grown(added);
        for (let i = 0; i < drops; i++) tree.drop(Int32Array.of());
        expect(tree.bytes).toBe([...tree.kept()].reduce((sum, { length }) => sum + length, 0));
      }),
    );
  });
});
