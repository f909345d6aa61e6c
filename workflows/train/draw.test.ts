import { describe, expect, it } from 'vitest';
import { drawQueries } from './draw.ts';

const ten = Array.from({ length: 10 }, (_, i) => i);
const sequence = (seed: number, steps: number, count: number) =>
  Array.from({ length: steps }, (_, step) => drawQueries(ten, seed, step, count)).flat();

describe('drawing questions', () => {
  it('takes every question once before any comes again', () => {
    const drawn = sequence(1, 10, 4);
    for (let pass = 0; pass < 4; pass++)
      expect(drawn.slice(pass * 10, pass * 10 + 10).toSorted((a, b) => a - b)).toEqual(ten);
  });

  it('is one sequence however it is cut into steps', () => {
    expect(sequence(5, 10, 4)).toEqual(sequence(5, 4, 10));
    expect(sequence(5, 40, 1)).toEqual(sequence(5, 1, 40));
  });

  it('has another order in every pass and for every seed', () => {
    const orders = [sequence(1, 1, 10), sequence(1, 2, 10).slice(10), sequence(2, 1, 10)].map((order) => order.join());
    expect(new Set(orders).size).toBe(3);
  });
});
