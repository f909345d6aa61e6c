import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exactMatch, normalise, scoreAnswer, tokenF1 } from './answer.ts';

describe('SQuAD scores', () => {
  it('normalises case, punctuation, articles and space', () => {
    expect(normalise('  The U.S.A., an  "Answer"  ')).toBe('usa answer');
    expect(normalise('theatre another')).toBe('theatre another');
    expect(normalise('1990–1995 ça')).toBe('1990–1995 ça'); // only ASCII punctuation, as the original has it
  });

  it.each<[string, string[], number, number]>([
    ['Ovidius University', ['Ovidius University'], 1, 1],
    ['the ovidius university.', ['Ovidius University'], 1, 1],
    ['University', ['Ovidius University'], 2 / 3, 0],
    ['x b c', ['b c d'], 2 / 3, 0],
    ['cat cat cat', ['cat'], 0.5, 0],
    ['wrong', ['right'], 0, 0],
    ['', ['x'], 0, 0],
    ['the', ['a'], 1, 1],
    ['yes', ['yes'], 1, 1],
    ['yes it is', ['yes'], 0, 0],
    ['no', ['no way out'], 0, 0],
    ['two', ['one', 'two', 'three'], 1, 1],
    ['one two', ['one', 'two three four'], 2 / 3, 0],
  ])('%j against %j', (text, golds, f1, em) => {
    expect(tokenF1(text, golds)).toBeCloseTo(f1, 10);
    expect(exactMatch(text, golds)).toBe(em);
  });

  it('stays in [0, 1], is symmetric for one gold, and exact match means F1 of 1', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        const { f1, em } = scoreAnswer(a, [b]);
        expect(f1).toBeGreaterThanOrEqual(0);
        expect(f1).toBeLessThanOrEqual(1);
        expect(tokenF1(b, [a])).toBeCloseTo(f1, 12);
        if (em === 1) expect(f1).toBe(1);
      }),
    );
  });
});
