/**
 * Programs that try to outlive their limits, to get out, or to leave something behind. Every one runs under the same short
 * limits, is over within them, and a plain program afterwards finds everything as it should be.
 */
import { describe, expect, it } from 'vitest';
import './register.node.ts';
import type { Limits } from './program.ts';
import { deaf, endless, failing, leaving, probe, probePrints } from './python-hostile-programs.ts';
import { runProgram } from './run.ts';

const limits: Limits = { timeMs: 200, memoryBytes: 96 * 2 ** 20, outputChars: 1_000 };
/** What must end well, or by itself, has time to do so on a busy machine. */
const patient: Limits = { ...limits, timeMs: 20_000 };
/** Beyond the limit itself: the time to be noticed by another thread of a busy machine. */
const slackMs = 2_000;

const run = (program: string, within: Limits) =>
  runProgram('python', { program, test: null, data: 'null', limits: within });

let plain: string | undefined;

async function plainProgramWorks(): Promise<void> {
  const { ok, output, error } = await run(probe, patient);
  expect({ ok, error }).toEqual({ ok: true, error: null });
  expect(output).toMatch(probePrints);
  expect(output).toBe((plain ??= output));
}

describe('hostile Python', { timeout: 300_000 }, () => {
  it('is a suite of at least 80 programs', () => {
    const all = [endless, deaf, failing, leaving].flatMap((each) => Object.keys(each));
    expect(new Set(all).size).toBeGreaterThanOrEqual(80);
  });

  it.each(Object.entries({ ...endless, ...deaf }))('%s is stopped at its limit', async (_, program) => {
    await plainProgramWorks(); // Python is loaded, so that what follows is the program's own time
    const started = performance.now();
    const { ok, error, output } = await run(program, limits);
    expect(performance.now() - started).toBeLessThan(limits.timeMs + slackMs);
    expect({ ok, error }).toEqual({ ok: false, error: 'stopped: still running after 200 ms' });
    expect(output.length).toBeLessThanOrEqual(limits.outputChars);
  });

  it.each(Object.entries(failing))('%s fails', async (_, program) => {
    const { ok, error, output } = await run(program, patient);
    expect({ ok, error }).toMatchObject({ ok: false, error: expect.stringMatching(/./) });
    expect(error).not.toMatch(/still running/);
    expect(`${output} ${error}`).not.toMatch(/root:|uid=/);
    await plainProgramWorks();
  });

  it.each(Object.entries(leaving))('%s is gone with the program', async (_, program) => {
    expect(await run(program, patient)).toMatchObject({ ok: true });
    await plainProgramWorks();
  });
});
