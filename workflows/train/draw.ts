/**
 * Which questions a step sees: a function of the seed and the step alone. Every pass over the training questions is a fresh
 * seeded permutation; a step takes the next `count` of the endless sequence of passes.
 */
import { generator, shuffled } from '../random.ts';

export function drawQueries<T>(queries: readonly T[], seed: number, step: number, count: number): T[] {
  const drawn: T[] = [];
  let pass = -1;
  let order: T[] = [];
  for (let at = step * count; at < (step + 1) * count; at++) {
    const wanted = Math.floor(at / queries.length);
    if (wanted !== pass) {
      pass = wanted;
      order = shuffled(generator((Math.imul(seed, 0x9e3779b1) ^ Math.imul(pass + 1, 0x85ebca6b)) >>> 0), queries);
    }
    drawn.push(order[at % queries.length]);
  }
  return drawn;
}
