import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../engine/errors.ts';
import { celNames, compileCel, evaluateCel, evaluateCondition, maxExpressionChars } from './cel.ts';

const scope = {
  turn: 2,
  score: { f1: 0.5 },
  words: ['a', 'b'],
  text: 'Oakton',
  nothing: null,
  records: [
    { turn: 0, legal: true },
    { turn: 1, legal: false },
  ],
};

describe('evaluateCel', () => {
  it.each<[string, unknown]>([
    ['turn + 1', 3],
    ['1 - score.f1 * 2', 0],
    ['3 / score.f1', 6],
    ['turn >= 2 && score.f1 > 0', true],
    ['text == "Oakton" ? "yes" : "no"', 'yes'],
    ['words + ["c"]', ['a', 'b', 'c']],
    ['records.filter(r, r.legal).size()', 1],
    ['records.map(r, r.turn + 1)', [1, 2]],
    ['records.all(r, r.turn >= 0) && !records.exists(r, r.turn > 5)', true],
    ['{"n": size(words), "w": words}', { n: 2, w: ['a', 'b'] }],
    ['f1("the Oakton", "oakton")', 1],
    ['em(text, ["x", "oakton"])', 1],
    ['min(1, score.f1) + max(0, turn) + abs(-1.5) + sum([1, 2.5])', 7.5],
    ['text.lowerAscii().lower().indexOf("kt")', 2],
    ['text.matches("^O.*n$")', true],
    ['nothing == null', true],
    ['has(score.em)', false],
  ])('%s', (source, value) => expect(evaluateCel(source, scope)).toEqual(value));

  it.each([
    ['turn +', 'Not a CEL expression'],
    ['score.em > 0', 'The expression failed'],
    ['unknown', 'The expression failed'],
    ['"a" + 1', 'The expression failed'],
    ['1.0 / 0.0', 'not a finite number'],
    ['x'.repeat(maxExpressionChars + 1), 'longer than'],
    [`${'('.repeat(1_500)}1${')'.repeat(1_500)}`, ''],
  ])('refuses %s with a sentence', (source, message) => {
    let thrown: unknown;
    try {
      const value = evaluateCel(source, scope);
      if (message === '') thrown = new UserError(String(value)); // deep brackets may be read or refused, never crash
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(UserError);
    expect((thrown as Error).message).toContain(message);
  });

  it('conditions are true or false, nothing else', () => {
    expect(evaluateCondition('turn > 1', scope)).toBe(true);
    expect(() => evaluateCondition('turn', scope)).toThrow('must be true or false');
  });

  it('cannot run away: nested macros, doubled texts and doubled lists stop in time', () => {
    const items = { xs: Array.from({ length: 1_000 }, (_, i) => i), s: 'x'.repeat(1_000) };
    const started = performance.now();
    expect(() => evaluateCel('xs.all(a, xs.all(b, xs.all(c, xs.all(d, a + b + c + d >= 0))))', items)).toThrow(
      'more than',
    );
    expect(() => evaluateCel(`[s]${'.map(x, x + x)'.repeat(100)}`, items)).toThrow('more than');
    expect(() => evaluateCel(`[xs]${'.map(x, x + x)'.repeat(100)}`, items)).toThrow('more than');
    expect(() => evaluateCel('xs.map(a, xs.map(b, xs.map(c, s)))', items)).toThrow('more than');
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(evaluateCel('xs.filter(x, x > 990).size()', items)).toBe(9);
  });

  it('never throws anything but a UserError on arbitrary text', () => {
    const token = fc.constantFrom(
      'turn',
      'score',
      '.f1',
      '(',
      ')',
      '[',
      ']',
      '+',
      '-',
      '?',
      ':',
      '"a"',
      '1',
      '1.5',
      'words',
      '.map(x,',
      'x',
      ' && ',
      '!',
      'size(',
      ',',
      '{',
      '}',
      '@',
      "b'x'",
      'timestamp("x")',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(token, { maxLength: 15 }).map((parts) => parts.join('')),
        ),
        (source) => {
          try {
            JSON.stringify(evaluateCel(source, scope));
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('celNames', () => {
  it('lists what an expression reads from outside', () => {
    expect(celNames('records.map(r, r.turn + turn).size() > 0 && has(score.f1)').sort()).toEqual([
      'records',
      'score',
      'turn',
    ]);
    expect(celNames('1 +')).toEqual([]);
    expect(compileCel('1')({})).toBe(1);
  });
});
