/**
 * Programs that try to outlive their limits, to get out, or to leave something behind. Every one runs under the same short
 * limits, is over within them, and a plain program afterwards finds everything as it should be.
 */
import { describe, expect, it } from 'vitest';
import './register.node.ts';
import type { Limits } from './program.ts';
import { runProgram } from './run.ts';

const limits: Limits = { timeMs: 150, memoryBytes: 48 * 2 ** 20, outputChars: 1_000 };
/** What must end well has time to do so on a busy machine. */
const patient: Limits = { ...limits, timeMs: 10_000 };
/** Beyond the limit itself: the time to be noticed by another thread of a busy machine. */
const slackMs = 2_000;

const run = (program: string, within = limits) =>
  runProgram('javascript', { program, test: null, data: 'null', limits: within });

/** Programs that must not end well. */
const failing: Record<string, string> = {
  'a loop without end': 'while (true) {}',
  'a loop that waits for a condition': 'for (;;) { if (1 > 2) break; }',
  'do while': 'do { var a = 1 } while (a)',
  'a loop that throws away its interruption':
    'for (;;) { try { for (;;); } catch { continue; } finally { continue; } }',
  'finally after finally': 'function f() { try { for (;;); } finally { f(); } } f()',
  'labelled loops': 'a: for (;;) { b: for (;;) { continue a; } }',
  'a generator without end': 'function* g() { while (true) yield 1 } for (const x of g());',
  'spreading an endless iterator': '[...{ [Symbol.iterator]: () => ({ next: () => ({ value: 1, done: false }) }) }]',
  'an async loop': '(async () => { while (true) await null })()',
  'an async generator': '(async () => { for await (const x of (async function* () { for (;;) yield 1 })()); })()',
  'promises that make promises': 'const f = () => Promise.resolve().then(f); f()',
  'a thenable that never ends': 'const t = { then(f) { f(t) } }; Promise.resolve(t)',
  'a promise that never settles': 'new Promise(() => {})',
  'an await that never comes back': '(async () => { await new Promise(() => {}) })()',
  'timers that make timers': 'const f = () => setTimeout(f, 0); f()',
  'an interval nobody clears': 'setInterval(() => {}, 1)',
  'a regular expression that explodes': '/^(a+)+$/.test("a".repeat(60) + "b")',
  'backtracking over alternatives': '/(x|x|x|x)*y/.exec("x".repeat(60))',
  'nested quantifiers in a replace': '("a".repeat(50) + "!").replace(/(a*)*b/g, "")',
  'recursion without end': '(function f() { return f() + 1 })()',
  'recursion through a built-in': '(function f() { return [1].map(f) })()',
  'recursion through JSON': 'const a = { toJSON() { return JSON.stringify(a) } }; JSON.stringify(a)',
  'recursion through a getter': '({ get a() { return this.a } }).a',
  'recursion through a proxy': 'const p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x',
  'recursion through toString': 'const a = { toString() { return `${a}` } }; `${a}`',
  'deeply nested JSON': 'JSON.parse("[".repeat(1e6))',
  'deeply nested source': 'eval("(".repeat(1e5))',
  'deeply nested arrays as text': 'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)',
  'a deeply nested regular expression': 'new RegExp("(".repeat(1e5) + ")".repeat(1e5))',
  'an array that grows': 'const a = []; while (true) a.push(new Array(1000).fill(7))',
  'a string that doubles': 'let s = "x"; while (true) s += s',
  'a very long string': '"x".repeat(2 ** 29).split("")',
  'a large typed array': 'new Uint8Array(2 ** 31)',
  'many array buffers': 'const a = []; while (true) a.push(new ArrayBuffer(1e6))',
  'a map that grows': 'const m = new Map(); for (let i = 0; ; i++) m.set(i, {})',
  'closures that grow': 'let f = () => 1; while (true) { const g = f; f = () => g }',
  'symbols without end': 'const a = []; while (true) a.push(Symbol("x".repeat(100)))',
  'a huge number': 'let n = 3n; while (true) n *= n',
  'a huge join': 'Array(3e8).join("ab")',
  'a sort of what is not there': 'const a = []; a.length = 2 ** 32 - 1; a.sort()',
  'a search through what is not there': 'Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)',
  'a comparison that never decides': '[3, 2, 1].sort(() => { for (;;); })',
  'a setter that loops': '({ set a(v) { for (;;); } }).a = 1',
  'an error whose text loops': 'throw { get message() { for (;;); }, get stack() { for (;;); } }',
  'an error that is a proxy':
    'throw new Proxy(new Error("x"), { get() { for (;;); }, getPrototypeOf() { for (;;); } })',
  'printing what loops': 'console.log({ get a() { for (;;); } })',
  'printing without end': 'while (true) console.log("y".repeat(1e4))',
  files: 'require("fs").readFileSync("/etc/passwd")',
  'a process': 'require("child_process").execSync("id")',
  'the module loader': 'process.mainModule.require("fs")',
  'the standard library of QuickJS': 'std.open("/etc/passwd", "r")',
  'the system of QuickJS': 'os.exec(["id"])',
  'the network': 'fetch("http://127.0.0.1")',
  'a socket': 'new WebSocket("ws://127.0.0.1")',
  'a request': 'new XMLHttpRequest()',
  'another thread': 'new Worker("data:text/javascript,1")',
  WebAssembly: 'new WebAssembly.Memory({ initial: 1 })',
  'shared memory that waits': 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); for (;;);',
  'an import of a file': 'import("file:///etc/passwd")',
  'an import of the platform': '(async () => (await import("node:fs")).readFileSync("/etc/passwd"))()',
  'the constructor of functions': 'console.log.constructor("return process")().exit(1)',
  'the constructor of a constructor': '[].constructor.constructor("return process.env")()',
  'the constructor behind an async function': '(async () => {}).constructor("return fetch(\'http://127.0.0.1\')")()',
  'the caller': '(function f() { return f.caller.constructor("return process")() })()',
  'the error’s call sites': 'Error.prepareStackTrace = (e, s) => s; new Error().stack[0].getThis().process.exit()',
};

/** Programs that end well and leave as much as they can behind. */
const leaving: Record<string, string> = {
  globals: 'globalThis.left = 1; var left2 = 2; this.left3 = 3',
  'prototype pollution':
    'Object.prototype.polluted = 1; ({}).__proto__.polluted2 = 1; Array.prototype.map = () => "mine"',
  'changed built-ins':
    'JSON.stringify = JSON.parse = () => { throw 1 }; Math.max = () => -1; String.prototype.slice = () => "x"',
  'a changed console': 'globalThis.console = { log() {} }; console.log = null',
  'frozen built-ins':
    'Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.preventExtensions(globalThis)',
  'removed globals':
    'for (const name of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[name] } catch {}',
  finalizers: 'new FinalizationRegistry(() => { for (;;); }).register({}, 1)',
  'a promise with a late answer': 'Promise.resolve().then(() => { globalThis.left = 1 })',
  'a rejection nobody handles': 'Promise.reject(new Error("x")); 1',
  'changed promises': 'Promise.prototype.then = () => {}; Promise.resolve = null',
};

const probe = `
  const names = ['left', 'left2', 'left3', 'polluted', 'polluted2'].filter((name) => name in globalThis || name in {});
  console.log(names.length, [1, 2].map((x) => x * 2), JSON.stringify({ a: [Math.max(1, 2)] }), 'abc'.slice(1));`;

async function plainProgramWorks(): Promise<void> {
  expect(await run(probe, patient)).toMatchObject({ ok: true, output: '0 [ 2, 4 ] {"a":[2]} bc', error: null });
}

describe('hostile JavaScript', () => {
  it('is a suite of at least 60 programs', () => {
    expect(Object.keys(failing).length + Object.keys(leaving).length).toBeGreaterThanOrEqual(60);
  });

  it.each(Object.entries(failing))('%s ends in an error within its limit', async (_, program) => {
    await plainProgramWorks(); // the sandbox is loaded, so that what follows is the program's own time
    const started = performance.now();
    const { ok, error, output, ms } = await run(program);
    expect(performance.now() - started).toBeLessThan(limits.timeMs + slackMs);
    expect(ms).toBeLessThan(limits.timeMs + slackMs);
    expect({ ok, error }).toMatchObject({ ok: false, error: expect.stringMatching(/./) });
    expect(output.length).toBeLessThanOrEqual(limits.outputChars);
    expect(`${output} ${error}`).not.toMatch(/root:|uid=/);
  });

  it.each(Object.entries(leaving))('%s is gone with the program', async (_, program) => {
    expect(await run(program, patient)).toMatchObject({ ok: true });
    await plainProgramWorks();
  });

  it('gives its memory back', async () => {
    const fills = 'const a = []; for (let i = 0; i < 1000; i++) a.push(new Array(1000).fill(7)); console.log(a.length)';
    expect(await run('const a = []; while (true) a.push(new Array(1000).fill(7))', patient)).toMatchObject({
      ok: false,
      error: 'out of memory: more than 48 MiB',
    });
    expect(await run(fills, patient)).toMatchObject({ ok: true, output: '1000' });
  });
});
