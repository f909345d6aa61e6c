/**
 * Conditions, computed values and reward formulas in the Common Expression Language: no eval, no side effects, and bounded.
 * CEL cannot loop for ever, but nested macros and doubled strings can grow without end, so each evaluation has a budget of
 * steps and characters that is counted inside the expression. Numbers mix freely: 1 + score.f1 is what it looks like.
 */
import {
  celEnv,
  celFunc,
  celMethod,
  CelScalar,
  isCelError,
  isCelList,
  isCelMap,
  listType,
  parse,
  plan,
  type CelFunc,
  type CelInput,
  type CelValue,
} from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { UserError } from '../../engine/errors.ts';
import { exactMatch, tokenF1 } from '../rewards/answer.ts';
import type { Json } from '../schema/value.ts';

export const maxExpressionChars = 4_000;
/** Macro iterations plus characters and items made by one evaluation. */
const budgetSteps = 200_000;
const maxDepth = 64;

export type Expression = (variables: Record<string, Json>) => Json;

type Node = Parameters<typeof plan>[1];
type Expr = NonNullable<Extract<Node, { $typeName: 'cel.expr.ParsedExpr' }>['expr']>;

const { INT, DOUBLE, STRING, BOOL, DYN } = CelScalar;

/** Evaluations run one at a time to their end, so one counter serves them all. */
const budget = { left: 0 };

const compiled = new Map<string, Expression>();
const maxCompiled = 2_000;

/** Compiles an expression once. Throws a UserError naming the expression where it is not CEL. */
export function compileCel(source: string): Expression {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const expression = compileFresh(source);
  if (compiled.size >= maxCompiled) compiled.clear();
  compiled.set(source, expression);
  return expression;
}

/** Compiles and evaluates. Throws a UserError with the expression where it fails. */
export function evaluateCel(source: string, variables: Record<string, Json>): Json {
  return compileCel(source)(variables);
}

/** A condition's truth; anything but true or false is a UserError. */
export function evaluateCondition(source: string, variables: Record<string, Json>): boolean {
  const value = evaluateCel(source, variables);
  if (typeof value === 'boolean') return value;
  throw new UserError(
    `A condition must be true or false, but this one is ${JSON.stringify(value)?.slice(0, 80)}: ${shown(source)}; compare it with something, for example "turn > 1"`,
  );
}

/** Names an expression reads that it does not make itself, each once; empty where it does not parse. */
export function celNames(source: string): string[] {
  const names = new Set<string>();
  try {
    const expr = parseChecked(source);
    visit(expr, 0, (each, bound) => {
      if (each.exprKind.case === 'identExpr' && !bound.has(each.exprKind.value.name))
        names.add(each.exprKind.value.name);
    });
  } catch {
    return [];
  }
  return [...names].filter((name) => !typeNames.has(name));
}

const typeNames = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'list', 'map', 'null_type', 'type']);

function compileFresh(source: string): Expression {
  const expr = parseChecked(source);
  visit(expr, 0, (each) => guard(each));
  const evaluate = plan(environment(), expr);
  return (variables) => {
    budget.left = budgetSteps;
    const result = evaluate(variables as Record<string, CelInput>);
    if (budget.left < 0)
      throw new UserError(
        `The expression takes more than ${budgetSteps} steps: ${shown(source)}; shorten its lists or texts`,
      );
    if (isCelError(result))
      throw new UserError(`The expression failed (${result.message}): ${shown(source)}; check its names and types`);
    return toJson(result, 0, source);
  };
}

function parseChecked(source: string): Expr {
  if (source.length > maxExpressionChars)
    throw new UserError(`The expression is longer than ${maxExpressionChars} characters: ${source.length}; shorten it`);
  try {
    return parse(source).expr;
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0].slice(0, 160);
    throw new UserError(`Not a CEL expression (${reason}): ${shown(source)}; mend it, for example score.f1 > 0.5`);
  }
}

/** Counts inside the expression: every macro iteration through its loop condition, every sum through its size. */
function guard(expr: Expr): void {
  const kind = expr.exprKind;
  if (kind.case === 'comprehensionExpr' && kind.value.loopCondition !== undefined) {
    kind.value.loopCondition = call('@go', kind.value.loopCondition);
  }
  if (kind.case === 'callExpr' && kind.value.function === '_+_')
    kind.value.args = kind.value.args.map((arg) => call('@size', arg));
}

function call(name: string, arg: Expr): Expr {
  return {
    ...arg,
    exprKind: { case: 'callExpr', value: { $typeName: 'cel.expr.Expr.Call', function: name, args: [arg] } },
  };
}

/** Children first, so that a guard is not guarded again; `bound` are the macro variables around an expression. */
function visit(
  expr: Expr | undefined,
  depth: number,
  each: (expr: Expr, bound: ReadonlySet<string>) => void,
  bound: ReadonlySet<string> = new Set(),
): void {
  if (expr === undefined) return;
  if (depth > maxDepth * 4)
    throw new UserError(`The expression is nested more than ${maxDepth} deep; split it into compute nodes`);
  const go = (child: Expr | undefined, more = bound): void => visit(child, depth + 1, each, more);
  const kind = expr.exprKind;
  switch (kind.case) {
    case 'selectExpr':
      go(kind.value.operand);
      break;
    case 'callExpr':
      go(kind.value.target);
      kind.value.args.forEach((arg) => go(arg));
      break;
    case 'listExpr':
      kind.value.elements.forEach((element) => go(element));
      break;
    case 'structExpr':
      for (const entry of kind.value.entries) {
        if (entry.keyKind.case === 'mapKey') go(entry.keyKind.value);
        go(entry.value);
      }
      break;
    case 'comprehensionExpr': {
      const inner = new Set([...bound, kind.value.iterVar, kind.value.accuVar]);
      go(kind.value.iterRange);
      go(kind.value.accuInit, inner);
      go(kind.value.loopCondition, inner);
      go(kind.value.loopStep, inner);
      go(kind.value.result, inner);
      break;
    }
    default:
      break;
  }
  each(expr, bound);
}

let shared: ReturnType<typeof celEnv> | undefined;

function environment(): ReturnType<typeof celEnv> {
  shared ??= celEnv({ funcs: [...guards, ...mixedArithmetic(), ...safeStrings(), ...scoring] });
  return shared;
}

const guards: CelFunc[] = [
  celFunc('@go', [DYN], BOOL, (condition) => {
    budget.left -= 1;
    return condition === true && budget.left >= 0;
  }),
  celFunc('@size', [DYN], DYN, (value) => {
    budget.left -= 1 + sizeOf(value);
    if (budget.left < 0) throw new Error('out of budget');
    return value as CelInput;
  }),
];

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length;
  return isCelList(value) ? Math.ceil(value.size / 8) : 0;
}

/** CEL keeps int and double apart; people do not. */
function mixedArithmetic(): CelFunc[] {
  const operations: [string, (a: number, b: number) => number][] = [
    ['_+_', (a, b) => a + b],
    ['_-_', (a, b) => a - b],
    ['_*_', (a, b) => a * b],
    ['_/_', (a, b) => a / b],
  ];
  return operations.flatMap(([name, apply]) => [
    celFunc(name, [INT, DOUBLE], DOUBLE, (a, b) => apply(Number(a), b)),
    celFunc(name, [DOUBLE, INT], DOUBLE, (a, b) => apply(a, Number(b))),
  ]);
}

/** The standard string functions whose result is never longer than their input. */
function safeStrings(): CelFunc[] {
  const names = new Set(['charAt', 'indexOf', 'lastIndexOf', 'lowerAscii', 'upperAscii', 'substring', 'trim', 'split']);
  return strings.filter((each) => names.has(each.name));
}

const texts = listType(STRING);

const scoring: CelFunc[] = [
  celFunc('f1', [STRING, STRING], DOUBLE, (text, gold) => tokenF1(text, [gold])),
  celFunc('f1', [STRING, texts], DOUBLE, (text, golds) => tokenF1(text, words(golds))),
  celFunc('em', [STRING, STRING], DOUBLE, (text, gold) => exactMatch(text, [gold])),
  celFunc('em', [STRING, texts], DOUBLE, (text, golds) => exactMatch(text, words(golds))),
  celFunc('min', [DYN, DYN], DOUBLE, (a, b) => Math.min(number(a), number(b))),
  celFunc('max', [DYN, DYN], DOUBLE, (a, b) => Math.max(number(a), number(b))),
  celFunc('abs', [DYN], DOUBLE, (a) => Math.abs(number(a))),
  celFunc('sum', [DYN], DOUBLE, (items) => {
    if (!isCelList(items)) throw new Error('sum needs a list of numbers');
    let total = 0;
    for (const item of items) total += number(item);
    return total;
  }),
  celFunc('best', [DYN, DYN], DYN, (items, scores) => {
    if (!isCelList(items) || !isCelList(scores) || items.size !== scores.size || items.size === 0)
      throw new Error('best needs two lists of one length, with something in them');
    const found = [...scores].map(number);
    return [...items][found.indexOf(Math.max(...found))] as CelInput;
  }),
  celFunc('put', [DYN, DYN, DYN], DYN, (items, at, item) => {
    if (!isCelList(items)) throw new Error('put needs a list');
    const place = number(at);
    const list = [...items];
    budget.left -= 1 + list.length;
    if (budget.left < 0) throw new Error('out of budget');
    list[place >= 0 && place < list.length ? place : list.length] = item;
    return list as CelInput;
  }),
  celMethod('lower', STRING, [], STRING, function () {
    return this.toLowerCase();
  }),
];

function words(list: Iterable<unknown>): string[] {
  return [...list].map((item) => (typeof item === 'string' ? item : ''));
}

function number(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  throw new Error(`a number is needed, not ${typeof value}`);
}

function toJson(value: CelValue, depth: number, source: string): Json {
  if (depth > maxDepth)
    throw new UserError(`The expression's result is nested more than ${maxDepth} deep: ${shown(source)}`);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return value;
    throw new UserError(
      `The expression's result is not a finite number (${value}): ${shown(source)}; guard the division`,
    );
  }
  if (isCelList(value)) return [...value].map((item) => toJson(item as CelValue, depth + 1, source));
  if (isCelMap(value))
    return Object.fromEntries(
      [...value].map(([key, item]) => [String(key), toJson(item as CelValue, depth + 1, source)]),
    );
  throw new UserError(
    `The expression gives a value that is not JSON: ${shown(source)}; convert it with string() or double()`,
  );
}

function shown(source: string): string {
  return source.length > 200 ? `${source.slice(0, 200)}…` : source;
}
