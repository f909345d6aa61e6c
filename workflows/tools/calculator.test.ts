import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calculate } from './calculator.ts';

describe('calculate', () => {
  it('keeps the usual precedence', () => {
    const cases: [string, number][] = [
      ['2+3*4', 14],
      ['(2+3)*4', 20],
      ['2^3^2', 512],
      ['-2^2', -4],
      ['2^-1', 0.5],
      ['10 / 4 / 5', 0.5],
      ['7 % 4 + 1', 4],
      ['--3', 3],
      ['1.5e3 + .5', 1500.5],
      ['0.1 + 0.2', 0.3],
      ['$48 ÷ 2 =', 24],
      ['3 × −2', -6],
      ['2**3', 8],
      ['max(1, 2, sqrt(16)) - ABS(-1)', 3],
      ['round(2 * PI)', 6],
    ];
    for (const [expression, value] of cases) expect(calculate(expression), expression).toBe(value);
  });

  it('agrees with JavaScript on random sums and products', () => {
    const number = fc.integer({ min: 1, max: 99 }).map(String);
    const { expression } = fc.letrec<{ expression: string }>((tie) => ({
      expression: fc.oneof(
        { maxDepth: 5 },
        number,
        fc
          .tuple(tie('expression'), fc.constantFrom('+', '-', '*'), tie('expression'))
          .map(([a, op, c]) => `(${a} ${op} ${c})`),
      ),
    }));
    fc.assert(
      fc.property(expression, (text) => {
        // Only digits, parentheses and + - * were put together.
        const expected = Number((0, eval)(text)); // eslint-disable-line no-eval
        expect(calculate(text)).toBe(Number(expected.toPrecision(15)));
      }),
    );
  });

  it('refuses what is no arithmetic, in one sentence', () => {
    for (const text of [
      '',
      '2 +',
      '(2',
      '2)',
      '2 2',
      'process.exit()',
      'constructor',
      '__proto__',
      'sqrt',
      'min()',
      '2,3',
      '1..2',
      '.',
    ])
      expect(() => calculate(text), text).toThrow(/^No arithmetic expression/);
    expect(() => calculate('1/0')).toThrow('No finite value');
    expect(() => calculate('9^9^9^9')).toThrow('No finite value');
    expect(() => calculate('('.repeat(500))).toThrow('Nested too deeply');
    expect(() => calculate('-'.repeat(900))).toThrow('Nested too deeply');
    expect(() => calculate('1'.repeat(1_001))).toThrow('Too long to calculate');
  });

  it('never hangs or throws anything else', () => {
    const piece = fc.constantFrom(
      '1',
      '.',
      'e',
      '(',
      ')',
      '+',
      '-',
      '*',
      '/',
      '^',
      '%',
      ',',
      'max',
      'pi',
      ' ',
      '$',
      '=',
      'x',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        try {
          expect(Number.isFinite(calculate(pieces.join('')))).toBe(true);
        } catch (error) {
          expect((error as Error).name).toBe('UserError');
        }
      }),
    );
  });
});
