import { describe, expect, it } from 'vitest';
import './register.node.ts';
import type { Limits } from './program.ts';
import { runProgram } from './run.ts';

const limits: Limits = { timeMs: 20_000, memoryBytes: 96 * 2 ** 20, outputChars: 2_000 };
const run = (program: string, test: string | null = null, data: unknown = null) =>
  runProgram('python', { program, test, data: JSON.stringify(data), limits });

describe('a Python program', { timeout: 300_000 }, () => {
  it('prints as it would elsewhere, to both streams', async () => {
    const program = `
import sys, json, math
print('é😀', [1, 2.5, None], {'a': (True,)}, math.comb(5, 2))
sys.stderr.write('and this\\n')
print(json.dumps(data))`;
    expect(await run(program, null, { a: ['ü', null] })).toMatchObject({
      ok: true,
      output: 'é😀 [1, 2.5, None] {\'a\': (True,)} 10\nand this\n{"a": ["\\u00fc", null]}',
      error: null,
    });
  });

  it('has a standard library that works without the host', async () => {
    const program = `
import asyncio, collections, dataclasses, hashlib, random, re, time
@dataclasses.dataclass
class Point:
    x: int = 1
async def later(n):
    await asyncio.sleep(0.01)
    return n
async def both():
    return await asyncio.gather(later(1), later(2))
started = time.monotonic()
time.sleep(0.05)
print(asyncio.run(both()), Point(), collections.Counter('aab')['a'], hashlib.md5(b'a').hexdigest()[:4])
print(time.monotonic() - started >= 0.05, re.findall('a+', 'aab'), random.random())`;
    const first = await run(program);
    expect(first).toMatchObject({
      ok: true,
      output: expect.stringMatching(/^\[1, 2\] Point\(x=1\) 2 0cc1\nTrue \['aa'\] 0\.\d+$/),
    });
    expect((await run(program)).output).toBe(first.output);
  });

  it('fails with what was raised and where', async () => {
    expect((await run('a = 1\n1 / 0')).error).toBe('ZeroDivisionError: division by zero (program, line 2)');
    expect((await run('def f(:')).error).toBe('SyntaxError: invalid syntax (program, line 1)');
    expect((await run('import sys; sys.exit(3)')).error).toBe('SystemExit: 3 (program, line 1)');
    expect((await run('input()')).error).toMatch(/^EOFError/);
    expect((await run('x = "\ud800"')).error).toMatch(/^UnicodeEncodeError|^SyntaxError/);
    expect(await run('import sys; sys.exit()')).toMatchObject({ ok: true });
    const unspeakable = 'class E(Exception):\n  def __str__(self): raise self\nraise E()';
    expect((await run(unspeakable)).error).toBe('E: an error that cannot be shown (program, line 3)');
  });

  it('keeps its output to the limit', async () => {
    const done = await run('for i in range(1000): print("0123456789")');
    expect(done).toMatchObject({ ok: true });
    expect(done.output.length).toBe(2_000);
  });

  it('is tested by code that runs after it, to its end', async () => {
    const sum = 'def add(a, b):\n    return a + b';
    expect(await run(sum, 'assert add(1, 2) == 3')).toMatchObject({ ok: true });
    expect((await run(sum, 'x = 1\nassert add(1, 2) == 4, "adds"')).error).toBe('AssertionError: adds (test, line 2)');
    for (const trick of [
      'raise SystemExit',
      'import sys; sys.exit(0)',
      'import os; os._exit(0)',
      'def add(a, b):\n    raise SystemExit(0)',
      'import builtins; builtins.AssertionError = type("Quiet", (SystemExit,), {})',
      'x = """',
    ])
      expect((await run(trick, 'add = globals().get("add", lambda a, b: 0)\nassert add(1, 2) == 4')).ok, trick).toBe(
        false,
      );
  });
});
