/**
 * Arithmetic, by a small parser of its own: + - * / % ^ with the usual precedence, parentheses, a few functions and
 * constants. `^` (or `**`) binds to the right and tighter than a sign before it, so -2^2 is -4. No names, no code.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import type { Tool } from './tool.ts';

const expressionMaxChars = 1_000;
const depthMax = 100;

const functions: Readonly<Record<string, (...args: number[]) => number>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  cos: Math.cos,
  exp: Math.exp,
  floor: Math.floor,
  ln: Math.log,
  log10: Math.log10,
  max: Math.max,
  min: Math.min,
  round: Math.round,
  sin: Math.sin,
  sqrt: Math.sqrt,
  tan: Math.tan,
};
const constants: Readonly<Record<string, number>> = { e: Math.E, pi: Math.PI };

export const calculator: Tool = {
  name: 'calculator',
  title: 'Calculator',
  description: 'Computes one arithmetic expression.',
  settings: z.object({}),
  ports: () => ({
    inputs: [{ name: 'expression', type: 'text', optional: false }],
    outputs: [
      { name: 'value', type: 'number', optional: false },
      { name: 'text', type: 'text', optional: false },
    ],
  }),
  run(inputs) {
    const { expression } = inputs;
    if (typeof expression !== 'string') throw new UserError('The calculator needs a text as its expression');
    const value = calculate(expression);
    return { value, text: String(value) };
  },
};

/** The value, to 15 digits, so that 0.1 + 0.2 is 0.3. Throws a UserError for what is no expression or has no finite value. */
export function calculate(expression: string): number {
  if (expression.length > expressionMaxChars)
    throw new UserError(
      `Too long to calculate: ${expression.length} characters; at most ${expressionMaxChars} are taken`,
    );
  const tokens = tokenise(expression);
  const parser = new Parser(tokens, expression);
  const value = parser.whole();
  if (!Number.isFinite(value))
    throw new UserError(`No finite value: ${expression}; it divides by zero or is too large`);
  return Number(value.toPrecision(15));
}

/** Numbers, words and signs; a $ before a number and an = at the end are passed over, as people write them. */
function tokenise(expression: string): string[] {
  const plain = expression
    .replace(/[×·]/g, '*')
    .replace(/÷/g, '/')
    .replace(/−/g, '-')
    .replace(/\s*=\s*$/, '');
  const tokens = plain.match(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[a-z]\w*|\*\*|\S/gi) ?? [];
  return tokens.filter((token) => token !== '$').map((token) => (token === '**' ? '^' : token.toLowerCase()));
}

class Parser {
  private readonly tokens: readonly string[];
  private readonly source: string;
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly string[], source: string) {
    this.tokens = tokens;
    this.source = source;
  }

  whole(): number {
    const value = this.sum();
    if (this.at < this.tokens.length) this.unexpected();
    return value;
  }

  private sum(): number {
    let value = this.product();
    for (;;) {
      if (this.take('+')) value += this.product();
      else if (this.take('-')) value -= this.product();
      else return value;
    }
  }

  private product(): number {
    let value = this.signed();
    for (;;) {
      if (this.take('*')) value *= this.signed();
      else if (this.take('/')) value /= this.signed();
      else if (this.take('%')) value %= this.signed();
      else return value;
    }
  }

  private signed(): number {
    return this.deeper(() => {
      if (this.take('-')) return -this.signed();
      if (this.take('+')) return this.signed();
      return this.power();
    });
  }

  private power(): number {
    const base = this.atom();
    return this.take('^') ? base ** this.signed() : base;
  }

  private atom(): number {
    const token = this.tokens[this.at];
    if (token !== undefined && /^[\d.]/.test(token) && token !== '.') return Number(this.tokens[this.at++]);
    if (this.take('(')) return this.closed(this.sum());
    if (token !== undefined && Object.hasOwn(constants, token)) return constants[this.tokens[this.at++]];
    if (token !== undefined && Object.hasOwn(functions, token)) return this.call(functions[this.tokens[this.at++]]);
    return this.unexpected();
  }

  private call(compute: (...args: number[]) => number): number {
    if (!this.take('(')) this.unexpected();
    const args = [this.sum()];
    while (this.take(',')) args.push(this.sum());
    return this.closed(compute(...args));
  }

  private closed(value: number): number {
    if (!this.take(')')) this.unexpected();
    return value;
  }

  private deeper(work: () => number): number {
    this.depth += 1;
    if (this.depth > depthMax)
      throw new UserError(`Nested too deeply to calculate: more than ${depthMax} levels; write it flatter`);
    const value = work();
    this.depth -= 1;
    return value;
  }

  private take(token: string): boolean {
    if (this.tokens[this.at] !== token) return false;
    this.at += 1;
    return true;
  }

  private unexpected(): never {
    const token = this.tokens[this.at];
    const where = token === undefined ? 'it ends too early' : `unexpected ${token.slice(0, 40)}`;
    throw new UserError(
      `No arithmetic expression (${where}): ${this.source.slice(0, 80)}; use numbers, + - * / % ^, parentheses and ${Object.keys(functions).join(', ')}`,
    );
  }
}
