/**
 * The functions village-code asks for: of one or two small whole numbers, from a closed grammar, each known by three
 * examples that no other function of the grammar agrees with. Every function has a plan, which names its operation in a
 * word or two, and a body. Knows no model, no prompts and no sandbox.
 */
import { pick, shuffled } from '../random.ts';

export type Family = 'add' | 'take' | 'times' | 'sum' | 'difference' | 'product' | 'larger';

export type VillageFunction = {
  readonly family: Family;
  /** "add 3", "larger" */
  readonly plan: string;
  readonly parameters: readonly ('a' | 'b')[];
  /** The expression it returns. */
  readonly body: string;
  /** All the arguments it may be asked about; results are whole and not below zero. */
  readonly inputs: readonly (readonly number[])[];
  of(args: readonly number[]): number;
};

/** One call and what it gives. */
export type Example = { readonly args: readonly number[]; readonly result: number };

/** The functions of each family: one for each constant, or the one there is. */
export const functionsOf: Readonly<Record<Family, readonly VillageFunction[]>> = {
  add: range(1, 5).map((k) => ofOne('add', k, `a + ${k}`, (a) => a + k)),
  take: range(1, 5).map((k) => ofOne('take', k, `a - ${k}`, (a) => a - k, k)),
  times: range(2, 5).map((k) => ofOne('times', k, `a * ${k}`, (a) => a * k)),
  sum: [ofTwo('sum', 'a + b', (a, b) => a + b)],
  difference: [ofTwo('difference', 'a - b', (a, b) => a - b)],
  product: [ofTwo('product', 'a * b', (a, b) => a * b)],
  larger: [ofTwo('larger', 'Math.max(a, b)', Math.max)],
};

export const families = Object.keys(functionsOf) as readonly Family[];
const all = Object.values(functionsOf).flat();

function ofOne(family: Family, k: number, body: string, of: (a: number) => number, from = 0): VillageFunction {
  const inputs = range(from, from + 7).map((a) => [a]);
  return { family, plan: `${family} ${k}`, parameters: ['a'], body, inputs, of: ([a]) => of(a) };
}

function ofTwo(family: Family, body: string, of: (a: number, b: number) => number): VillageFunction {
  const pairs = range(0, 5).flatMap((a) => range(0, 5).map((b) => [a, b]));
  const inputs = pairs.filter(([a, b]) => of(a, b) >= 0);
  return { family, plan: family, parameters: ['a', 'b'], body, inputs, of: ([a, b]) => of(a, b) };
}

/** Each family as likely as any other. */
export function drawFunction(random: () => number): VillageFunction {
  return pick(random, functionsOf[pick(random, families)]);
}

/** `count` examples with arguments not in `taken`, such that only this function agrees with all of them. */
export function drawExamples(
  random: () => number,
  wanted: VillageFunction,
  count: number,
  taken: readonly Example[] = [],
): Example[] {
  const free = wanted.inputs.filter((args) => !taken.some((each) => each.args.join() === args.join()));
  for (;;) {
    const drawn = shuffled(random, free)
      .slice(0, count)
      .map((args): Example => ({ args, result: wanted.of(args) }));
    if (all.filter((each) => agrees(each, drawn)).length === 1) return drawn;
  }
}

function agrees(each: VillageFunction, examples: readonly Example[]): boolean {
  return examples.every(({ args, result }) => args.length === each.parameters.length && each.of(args) === result);
}

/** "f(3, 5) = 8" */
export function shownExample({ args, result }: Example): string {
  return `f(${args.join(', ')}) = ${result}`;
}

/** A test that throws where a program gives something else. */
export function testOf({ args, result }: Example): string {
  return `assert.equal(f(${args.join(', ')}), ${result})`;
}

export function problemText(examples: readonly Example[]): string {
  return ['Write f in JavaScript.', ...examples.map(shownExample)].join('\n');
}

export function programOf({ parameters, body }: Pick<VillageFunction, 'parameters' | 'body'>): string {
  return `function f(${parameters.join(', ')}) { return ${body}; }`;
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
