/**
 * Runs tests against a program: each test alone, after the program, in a sandbox of its own state, with its own time limit.
 * A test passes when it runs to its end; one that throws, asserts what is false, hangs or ends the program early does not.
 */
import { z } from 'zod';
import { UserError } from '../../engine/errors.ts';
import { isTextList, type Values } from '../schema/value.ts';
import { limitsOf, memoryMb, timeMs } from './program.ts';
import { languages, type ProgramResult } from './sandbox/program.ts';
import { runProgram } from './sandbox/run.ts';
import type { Tool } from './tool.ts';

const settingsSchema = z.object({
  language: z.enum(languages).default('javascript').describe('what the program and its tests are written in'),
  timeMs: timeMs.default(1_000).describe('longest run of one test, in milliseconds'),
  memoryMb,
});

type Settings = z.infer<typeof settingsSchema>;

const testsMax = 256;
/** Failures a report tells of; a model's context holds no more. */
const reportedMax = 5;
const outputChars = 1_000;

export const unitTests: Tool<Settings> = {
  name: 'unit-tests',
  title: 'Unit tests',
  description: 'Runs tests against a program and says which pass.',
  settings: settingsSchema,
  ports: () => ({
    inputs: [
      { name: 'program', type: 'text', optional: false },
      { name: 'tests', type: 'list', optional: false },
    ],
    outputs: [
      { name: 'passed', type: 'json', optional: false },
      { name: 'rate', type: 'number', optional: false },
      { name: 'errors', type: 'list', optional: false },
      { name: 'report', type: 'text', optional: false },
    ],
  }),
  async run({ program, tests: given }, settings, { signal }) {
    const tests = typeof given === 'string' ? [given] : isTextList(given) ? given : null;
    if (typeof program !== 'string' || tests === null)
      throw new UserError('The tests need a text as the program and a list of texts as tests');
    if (tests.length === 0) throw new UserError('There is no test to run; give at least one');
    if (tests.length > testsMax)
      throw new UserError(`Too many tests: ${tests.length}; at most ${testsMax} are run at once`);
    const limits = limitsOf({ ...settings, outputChars });
    const run = (test: string): Promise<ProgramResult> =>
      runProgram(settings.language, { program, test, data: 'null', limits }, signal);
    return summary(await Promise.all(tests.map(run)));
  },
};

/** `passed` and `errors` are in the order of the tests; the error of a test that passed is empty. */
function summary(results: readonly ProgramResult[]): Values {
  const passed = results.map((result) => result.ok);
  return {
    passed,
    rate: passed.filter(Boolean).length / results.length,
    errors: results.map((result) => result.error ?? ''),
    report: reportOf(results),
  };
}

/** What a role reads of the tests: how many pass, and the first few that fail. */
export function reportOf(results: readonly Pick<ProgramResult, 'ok' | 'error'>[]): string {
  const failures = results.flatMap(({ ok, error }, index) => (ok ? [] : [`Test ${index + 1} fails: ${error}`]));
  const more = failures.length - reportedMax;
  const lines = [
    `${results.length - failures.length} of ${results.length} tests pass.`,
    ...failures.slice(0, reportedMax),
  ];
  return [...lines, ...(more > 0 ? [`${more} more fail.`] : [])].join('\n');
}
