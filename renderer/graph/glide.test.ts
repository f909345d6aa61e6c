import { describe, expect, it } from 'vitest';
import { movedFrom, snapped } from './glide.ts';

describe('cards on their way', () => {
  it('are those that stood elsewhere; new ones and those that stay are not', () => {
    const before = { a: { x: 0, y: 0 }, b: { x: 5, y: 5 }, gone: { x: 1, y: 1 } };
    expect(movedFrom(before, { a: { x: 90, y: 0 }, b: { x: 5, y: 5.5 }, c: { x: 1, y: 1 } })).toEqual({ a: before.a });
  });

  it('are put in place at once where there are too many', () => {
    const many = (y: number) => Object.fromEntries(Array.from({ length: 200 }, (_, x) => [`n${x}`, { x, y }]));
    expect(movedFrom(many(0), many(50))).toEqual({});
  });

  it('are laid on the grid where they are named', () => {
    expect(snapped({ a: { x: 17, y: -31 }, b: { x: 1, y: 1 } }, ['a', 'nobody'])).toEqual({ a: { x: 12, y: -36 } });
  });
});
