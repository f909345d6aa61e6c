import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markedAnswer, numberMatch } from './number.ts';

describe('answers that are numbers', () => {
  it.each([
    ['18', '18'],
    ['$18.00', '18'],
    ['18 dollars', '18'],
    ['1,450,000', '1450000'],
    ['1450000', '1,450,000'],
    ['51', '51.0'],
    ['.5', '1/2'],
    ['\\frac{3}{4}', '0.75'],
    ['\\dfrac34', '\\frac{3}{4}'],
    ['1 1/2', '3/2'],
    ['1\\frac{1}{2}', '1.5'],
    ['-\\frac{1}{2}', '-0.5'],
    ['\u22123', '-3'],
    ['50\\%', '50'],
    ['90^\\circ', '90'],
    ['5 cm', '5'],
    ['5cm', '5'],
    ['12 \\text{ square inches}', '12'],
    ['x = 7', '7'],
    ['1.5e3', '1500'],
    ['10,\\!000', '10000'],
    ['Natalia sold 48 + 24 = 72 clips altogether.\n#### 72', '72'],
    ['First 3, then 4. The answer is 12.', '12'],
    ['The answer is 12 apples, not 13', '12'],
    ['So it is \\boxed{\\frac{1}{2}} in all', '0.5'],
    ['\\boxed{3} no, \\boxed{4}', '4'],
    ['She pays 16 and gets 9 back, so 7.', '7'],
    ['\\boxed{(1, \\frac{1}{2})}', '(1,0.5)'],
    ['\\boxed{x^2 + 1}', 'x^2+1'],
    ['\\boxed{\\sqrt2}', '\\sqrt{2}'],
    ['\\boxed{\\left( 3, 4 \\right]}', '(3,4]'],
  ])('%j is %j', (text, gold) => {
    expect(numberMatch(text, [gold])).toBe(1);
  });

  it.each([
    ['19', '18'],
    ['', '0'],
    ['3x', '3'],
    ['3 \\pi', '3'],
    ['0.333', '1/3'],
    ['#### 71\nor 72', '72'],
    ['\\boxed{3} and 4', '4'],
    ['(1,2)', '(2,1)'],
    ['(1,2)', '[1,2]'],
    ['12', '1,2'],
    ['1/0', '1/0 dollars'],
    ['x^2+1', 'x^2-1'],
    ['5', '-5'],
  ])('%j is not %j', (text, gold) => {
    expect(numberMatch(text, [gold])).toBe(0);
  });

  it('takes the best of several golds and finds marked answers', () => {
    expect(numberMatch('4', ['3', '4'])).toBe(1);
    expect(markedAnswer('a \\boxed{\\text{b {c}}} d')).toBe('\\text{b {c}}');
    expect(markedAnswer('\\boxed{never closed')).toBe(null);
    expect(markedAnswer('nothing here')).toBe(null);
  });

  it('equals itself in any writing of an integer, and never throws', () => {
    fc.assert(
      fc.property(fc.integer(), (n) => {
        for (const text of [`${n}`, `${n}.0`, `$${n}`, `${n * 2}/2`, `#### ${n}`, n.toLocaleString('en-US')])
          expect(numberMatch(text, [`${n}`]), text).toBe(1);
        expect(numberMatch(`${n + 1}`, [`${n}`])).toBe(0);
      }),
    );
    fc.assert(fc.property(fc.string(), fc.string(), (a, b) => [0, 1].includes(numberMatch(a, [b]))));
  });

  it('stays fast on hostile text', () => {
    const started = performance.now();
    for (const text of [
      '1 '.repeat(50_000),
      '\\boxed{'.repeat(20_000),
      '\\frac'.repeat(20_000),
      '1,'.repeat(50_000),
      'a '.repeat(50_000),
      `1${' ab'.repeat(50_000)}`,
      `1${' ab'.repeat(60)}9`,
    ])
      numberMatch(text, ['12']);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
