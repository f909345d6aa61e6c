import { describe, expect, it } from 'vitest';
import './register.node.ts';
import type { Limits } from './program.ts';
import { runProgram } from './run.ts';

const limits: Limits = { timeMs: 10_000, memoryBytes: 64 * 2 ** 20, outputChars: 2_000 };
const run = (program: string, test: string | null = null, data: unknown = null) =>
  runProgram('javascript', { program, test, data: JSON.stringify(data), limits });

describe('a JavaScript program', () => {
  it('prints as it would elsewhere', async () => {
    const done = await run(`
      console.log('a', 1, -0, 2n, null, undefined, [1, [2, 'b']], { c: { d: true } }, () => 1);
      console.log(new Set([1]), new Map([['k', 'v']]), new Error('no'), []);
      const circle = {}; circle.me = circle; console.log(circle);`);
    expect(done).toMatchObject({ ok: true, error: null });
    expect(done.output.split('\n')).toEqual([
      'a 1 -0 2n null undefined [ 1, [ 2, "b" ] ] { c: { d: true } } [Function]',
      'Set { 1 } Map { "k" => "v" } Error: no []',
      '{ me: [Circular] }',
    ]);
  });

  it('finds its data, and its timers cost no time', async () => {
    const program = `
      const wait = (ms) => new Promise((done) => setTimeout(done, ms));
      (async () => { await wait(60_000); console.log(data.a + 1); })();
      setTimeout(() => console.log('first'), 10);
      const every = setInterval(() => { console.log('tick'); clearInterval(every); }, 70_000);`;
    expect(await run(program, null, { a: 1 })).toMatchObject({ ok: true, output: 'first\n2\ntick' });
  });

  it('fails with what was thrown and where', async () => {
    expect((await run('let a = 1;\nnull.x')).error).toMatch(/^TypeError: .*null.* \(program, line 2\)$/);
    expect((await run('throw "words"')).error).toBe('thrown: words');
    expect((await run('let = = 1')).error).toMatch(/^SyntaxError/);
    expect((await run('async function f() { throw new Error("late") } f()')).error).toMatch(/^Error: late/);
    expect((await run('new Promise(() => {})')).error).toBe('the program waits for a promise that nothing settles');
    expect((await run('throw { get stack() { return 1 }, toString() { throw 1 } }')).error).toMatch(/^thrown: \{/);
  });

  it('keeps its output to the limit', async () => {
    const done = await run('for (let i = 0; i < 1000; i++) console.log("0123456789")');
    expect(done).toMatchObject({ ok: true });
    expect(done.output.length).toBe(2_000);
  });

  it('is tested by code it cannot turn off', async () => {
    const sum = 'const sum = (a, b) => a + b;';
    expect(await run(sum, 'assert.deepEqual([sum(1, 2)], [3]); console.assert(sum(0, 0) === 0)')).toMatchObject({
      ok: true,
    });
    expect(await run(sum, 'console.assert(sum(1, 2) === 4, "adds")')).toMatchObject({
      ok: false,
      error: 'AssertionError: adds (test, line 1)',
    });
    expect(await run(sum, "require('lodash').isEqual({ a: [1] }, { a: [1] }) || fail()")).toMatchObject({ ok: true });
    expect((await run(sum, 'assert.equal(sum(2, 2), 5)')).error).toMatch(/^AssertionError: 4 is not 5/);
    for (const trick of [
      'console.assert = () => {}',
      'console = { assert() {} }',
      'Object.defineProperty(globalThis, "console", { value: { assert() {} } })',
      'var sum = 1 /*',
      'eval = () => 1',
      'const assert = () => 1, console = { assert }',
      'throw 1',
    ])
      expect((await run(trick, 'console.assert(false); assert(false)')).ok, trick).toBe(false);
  });

  it('refuses what is too long to run', async () => {
    expect((await run(' '.repeat(1_000_001))).error).toMatch(/^too long to run: 1000001 characters/);
  });

  it('is not late because nobody looked', async () => {
    const program = 'const start = Date.now(); while (Date.now() - start < 50); console.log(1)';
    const short = { ...limits, timeMs: 1_000 };
    await run('1');
    const running = runProgram('javascript', { program, test: null, data: 'null', limits: short });
    await new Promise((settle) => setTimeout(settle, 0));
    const busy = performance.now();
    while (performance.now() - busy < 1_500);
    const { ok, ms } = await running;
    expect(ok).toBe(true);
    expect(ms).toBeLessThan(1_000);
  });

  it('can be stopped while it runs and while it waits', async () => {
    const stop = new AbortController();
    const long = { program: 'while (true);', test: null, data: 'null', limits: { ...limits, timeMs: 20_000 } };
    const running = runProgram('javascript', long, stop.signal);
    const waiting = runProgram('javascript', long, stop.signal);
    setTimeout(() => stop.abort(), 100);
    await expect(running).rejects.toThrow('The program was cancelled');
    await expect(waiting).rejects.toThrow('The program was cancelled');
    await expect(runProgram('javascript', long, stop.signal)).rejects.toThrow('cancelled');
    expect(await run('1')).toMatchObject({ ok: true });
  });
});
