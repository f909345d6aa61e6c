/**
 * What a JavaScript program finds beside the language itself, written in JavaScript because it runs inside the sandbox,
 * under its limits: `console`, `data`, timers on a clock of their own that costs no time, `assert`, and a `require` for
 * what the field's test files use. All may be redeclared, as programs do; a test is evaluated where it still sees these.
 * The source gives a function; the thread calls it with `write` (takes text), the data as JSON and how many characters may
 * be printed. It returns what the thread needs to test and to end a run.
 */
export const prelude = String.raw`(function (evaluate) { return function (write, dataJson, room) {
  'use strict';
  const { keys, is, getPrototypeOf, defineProperty, freeze } = Object;
  const { stringify, parse } = JSON;

  function show(value, depth, seen) {
    if (typeof value === 'string') return depth === 0 ? value : stringify(value).slice(0, 10000);
    if (typeof value === 'bigint') return value + 'n';
    if (typeof value === 'function') return '[Function' + (value.name ? ': ' + value.name : '') + ']';
    if (typeof value !== 'object' || value === null) return is(value, -0) ? '-0' : String(value);
    if (value instanceof Error) return value.name + ': ' + value.message;
    if (value instanceof Date || value instanceof RegExp) return String(value);
    if (seen.includes(value)) return '[Circular]';
    if (depth > 4) return Array.isArray(value) ? '[Array]' : '[Object]';
    const inside = [...seen, value];
    const each = (item) => show(item, depth + 1, inside);
    const join = (open, items, close) => items.length === 0 ? open + close : open + ' ' + items.join(', ') + ' ' + close;
    if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      const shown = [];
      for (let i = 0; i < Math.min(value.length, 1000); i++) shown.push(each(value[i]));
      return join('[', shown, value.length > 1000 ? '… ]' : ']');
    }
    if (value instanceof Set) return 'Set ' + join('{', [...value].map(each), '}');
    if (value instanceof Map) return 'Map ' + join('{', [...value].map(([k, v]) => each(k) + ' => ' + each(v)), '}');
    return join('{', keys(value).slice(0, 1000).map((key) => key + ': ' + each(value[key])), '}');
  }

  function print(...values) {
    if (room <= 0) return;
    const line = (values.map((value) => show(value, 0, [])).join(' ') + '\n').slice(0, room);
    room -= line.length;
    write(line);
  }

  class AssertionError extends Error {
    get name() { return 'AssertionError'; }
  }

  function equal(a, b, seen) {
    if (is(a, b) || a === b) return true;
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
    if (getPrototypeOf(a) !== getPrototypeOf(b)) return false;
    if (seen.some((pair) => pair[0] === a && pair[1] === b)) return true;
    const inside = [...seen, [a, b]];
    if (a instanceof Date || a instanceof RegExp) return String(a) === String(b) && +a === +b;
    if (a instanceof Set || a instanceof Map) return a.size === b.size && equal([...a], [...b], inside);
    const names = keys(a);
    if (names.length !== keys(b).length || a.length !== b.length) return false;
    return names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name], inside));
  }

  const because = (message, fallback) => new AssertionError(message === undefined ? fallback : show(message, 0, []));
  const differ = (a, b) => show(a, 1, []).slice(0, 300) + ' is not ' + show(b, 1, []).slice(0, 300);
  function assert(condition, message) {
    if (!condition) throw because(message, 'the assertion is false');
  }
  const check = (holds) => (a, b, message) => { if (!holds(a, b)) throw because(message, differ(a, b)); };
  assert.ok = assert;
  assert.equal = check((a, b) => a == b);
  assert.notEqual = check((a, b) => a != b);
  assert.strictEqual = check(is);
  assert.notStrictEqual = check((a, b) => !is(a, b));
  assert.deepEqual = assert.deepStrictEqual = check((a, b) => equal(a, b, []));
  assert.notDeepEqual = assert.notDeepStrictEqual = check((a, b) => !equal(a, b, []));
  assert.throws = (work, message) => {
    try { work(); } catch { return; }
    throw because(typeof message === 'string' ? message : undefined, 'nothing was thrown');
  };
  assert.AssertionError = AssertionError;

  const modules = { assert, 'node:assert': assert, lodash: { isEqual: (a, b) => equal(a, b, []) } };
  function require(name) {
    if (typeof name === 'string' && Object.hasOwn(modules, name)) return modules[name];
    throw new Error('no module ' + name + ' here; there are assert and lodash.isEqual');
  }

  let timers = [];
  let clock = 0;
  let ids = 0;
  function after(work, delay, args, every) {
    const wait = Math.max(1, Number(delay) || 1);
    ids += 1;
    timers.push({ id: ids, due: clock + wait, every: every ? wait : 0, work, args });
    return ids;
  }
  const clear = (id) => { timers = timers.filter((timer) => timer.id !== id); };

  /** Runs the timer that is due first; false when there is none. */
  function tick() {
    if (timers.length === 0) return false;
    const next = timers.reduce((first, timer) => (timer.due < first.due ? timer : first));
    clock = next.due;
    if (next.every > 0) next.due += next.every;
    else clear(next.id);
    next.work(...next.args);
    return true;
  }

  function describe(error) {
    if (typeof error !== 'object' || error === null) return 'thrown: ' + show(error, 0, []).slice(0, 1000);
    const text = error instanceof Error ? error.name + ': ' + error.message : 'thrown: ' + show(error, 1, []);
    // What the test's own eval evaluates is called <input> by QuickJS.
    const line = /(program\.js|<input>):(\d+)/.exec(String(error.stack));
    const where = line === null ? '' : ' (' + (line[1] === '<input>' ? 'test' : 'program') + ', line ' + line[2] + ')';
    return text.slice(0, 1000) + where;
  }

  const console = freeze({
    log: print, info: print, debug: print, warn: print, error: print, dir: print,
    assert: (condition, ...message) => {
      if (!condition) throw because(message.length === 0 ? undefined : message[0], 'the assertion is false');
    },
  });
  freeze(assert);
  const globals = {
    data: parse(dataJson), console, assert, require,
    setTimeout: (work, delay, ...args) => after(work, delay, args, false),
    setInterval: (work, delay, ...args) => after(work, delay, args, true),
    setImmediate: (work, ...args) => after(work, 0, args, false),
    clearTimeout: clear, clearInterval: clear, clearImmediate: clear,
    queueMicrotask: (work) => { Promise.resolve().then(work); },
  };
  for (const name of keys(globals))
    defineProperty(globalThis, name, { value: globals[name], writable: true, configurable: true, enumerable: false });
  const intrinsic = eval;
  return { tick, describe, test: (code) => evaluate(console, assert, require, intrinsic, code) };
}; })(function (console, assert, require, eval) { return eval(arguments[4]); })`;
