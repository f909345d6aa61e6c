/**
 * Programs against tests, as a tool that runs tests left them in a trace: one row a program, one column a test. The visits
 * of one node that made several records (one a program) stand together, as do CURE's execution matrices.
 */
import type { Trace, TraceRecord } from '../../workflows/schema/trace.ts';

export type TestRun = {
  /** Index of its record in the trace. */
  readonly at: number;
  readonly program: string;
  /** Per test: whether it passed, and why not. */
  readonly passed: readonly boolean[];
  readonly errors: readonly string[];
};

export type TestMatrix = { readonly tests: readonly string[]; readonly runs: readonly TestRun[] };

/** The matrix that the record at `at` is part of, or null where it ran no tests. */
export function testMatrixAt({ records }: Pick<Trace, 'records'>, at: number): TestMatrix | null {
  const own = records[at] && testsOf(records[at]);
  if (!own) return null;
  const { node, turn } = records[at];
  const runs = records.flatMap((record, place): TestRun[] => {
    if (record.node !== node || record.turn !== turn) return [];
    const given = testsOf(record);
    return given && same(given.tests, own.tests) ? [{ at: place, ...given.run }] : [];
  });
  return { tests: own.tests, runs };
}

function testsOf({ kind, inputs, outputs }: TraceRecord): { tests: string[]; run: Omit<TestRun, 'at'> } | null {
  const tests = typeof inputs.tests === 'string' ? [inputs.tests] : inputs.tests;
  const { passed, errors } = outputs;
  if (kind !== 'tool' || typeof inputs.program !== 'string' || !isList(tests, 'string')) return null;
  if (!isList(passed, 'boolean') || passed.length !== tests.length) return null;
  const said = isList(errors, 'string') ? errors : [];
  return {
    tests: tests as string[],
    run: {
      program: inputs.program,
      passed: passed as boolean[],
      errors: tests.map((_, i) => (said[i] as string) ?? ''),
    },
  };
}

function isList(value: unknown, of: 'string' | 'boolean'): value is unknown[] {
  return Array.isArray(value) && value.every((one) => typeof one === of);
}

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);

/** Programs that pass a test. */
export function passing({ runs }: TestMatrix, test: number): number {
  return runs.filter(({ passed }) => passed[test]).length;
}
