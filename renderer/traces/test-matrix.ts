/**
 * Programs against tests, as a tool that runs tests left them in its record: one row a program, one column a test. A tool that
 * was given one program makes one row; CURE's execution matrix has as many as the coder wrote.
 */
import type { TraceRecord } from '../../workflows/schema/trace.ts';

export type TestRun = {
  readonly program: string;
  /** Per test: whether it passed, and why not. */
  readonly passed: readonly boolean[];
  readonly errors: readonly string[];
};

export type TestMatrix = { readonly tests: readonly string[]; readonly runs: readonly TestRun[] };

/** Null for a record that ran no tests, and unless every program has a flag for every test. */
export function testMatrixOf({ kind, inputs, outputs }: TraceRecord): TestMatrix | null {
  const tests = typeof inputs.tests === 'string' ? [inputs.tests] : inputs.tests;
  if (kind !== 'tool' || !isList(tests, 'string')) return null;
  const { passed, errors } = outputs;
  const several = Array.isArray(inputs.program);
  const programs = several ? (inputs.program as unknown[]) : [inputs.program];
  const rowOf = (from: unknown, place: number): unknown => (several ? Array.isArray(from) && from[place] : from);
  const runs = programs.flatMap((program, place): TestRun[] => {
    const [flags, said] = [rowOf(passed, place), rowOf(errors, place)];
    if (typeof program !== 'string' || !isList(flags, 'boolean') || flags.length !== tests.length) return [];
    const told = isList(said, 'string') ? (said as string[]) : [];
    return [{ program, passed: flags as boolean[], errors: tests.map((_, test) => told[test] ?? '') }];
  });
  return runs.length > 0 && runs.length === programs.length ? { tests: tests as string[], runs } : null;
}

function isList(value: unknown, of: 'string' | 'boolean'): value is unknown[] {
  return Array.isArray(value) && value.every((one) => typeof one === of);
}

/** Programs that pass a test. */
export function passing({ runs }: TestMatrix, test: number): number {
  return runs.filter(({ passed }) => passed[test]).length;
}
