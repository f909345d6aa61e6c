/** `troupe tool` as a person or a script meets it: what it prints, and how it ends. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
let folder: string;

function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((settle) => {
    const done = (failure: { code?: unknown } | null, out: string, err: string): void =>
      settle({ code: failure === null ? 0 : Number(failure.code), out, err });
    execFile(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'tool', ...args], { cwd: root }, done);
  });
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(path.join(folder, name), text);
  return path.join(folder, name);
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'troupe-tool-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('troupe tool', () => {
  it.each([
    ['javascript', 'a.js', 'console.log(6 * 7)', 'for (;;);'],
    ['python', 'a.py', 'print(6 * 7)', 'while True: pass'],
  ])('runs a program in %s, and stops one that does not end', async (name, input, program, endless) => {
    const good = await run(name, '--input', await file(input, program), '--json');
    expect(JSON.parse(good.out)).toEqual({ ok: true, output: '42', error: null, ms: expect.any(Number) });
    expect(good.code).toBe(0);
    const bad = await run(name, '--input', await file(input, endless), '--json', '--time-ms', '300');
    const told = JSON.parse(bad.out) as { ms: number };
    expect(told).toMatchObject({ ok: false, output: '', error: 'stopped: still running after 300 ms' });
    expect(told.ms).toBeLessThan(5_000);
    expect(bad.code).toBe(1);
  });

  it('takes the inputs of other tools as JSON, and their settings', async () => {
    const sum = await run('calculator', '--input', await file('sum.json', '{"expression": "2 + 3 * 4"}'), '--json');
    expect(JSON.parse(sum.out)).toMatchObject({ ok: true, output: { value: 14, text: '14' } });
    const tests = { program: 'const one = () => 1', tests: ['assert(one() === 1)', 'assert(one() === 2)'] };
    const tested = await run(
      'unit-tests',
      '--input',
      await file('t.json', JSON.stringify(tests)),
      '--set',
      'memoryMb=64',
    );
    expect(JSON.parse(tested.out)).toMatchObject({ passed: [true, false], rate: 0.5 });
    expect(tested.code).toBe(0);
  });

  it('says what cannot work: 1 for the tool, 2 for the command', async () => {
    const sum = await file('bad.json', '{"expression": "2 +"}');
    expect(await run('calculator', '--input', sum)).toMatchObject({
      code: 1,
      err: expect.stringMatching(/ends too early/),
    });
    for (const args of [
      ['nothing', '--input', sum],
      ['calculator'],
      ['calculator', '--input', 'no-such-file'],
      ['calculator', '--input', await file('a.txt', '2 + 2')],
      ['javascript', '--input', sum, '--time-ms', '0'],
      ['javascript', '--input', sum, '--memory-mb', '1000000'],
    ]) {
      const { code, out, err } = await run(...args);
      expect({ code, out }, args.join(' ')).toEqual({ code: 2, out: '' });
      expect(err).toMatch(/\S/);
      expect(err).not.toMatch(/\n\s+at /);
    }
  });
});
