/**
 * Python inside a sandbox thread: Pyodide, loaded once. Before the first program the gate to JavaScript is closed, the file
 * system in memory becomes read-only, and the whole memory of Python is copied; after every program the copy is put back,
 * so that the next one finds Python as it was, whatever the last one did to it.
 */
import type { loadPyodide } from 'pyodide';
import { failed, outOfMemory, type ProgramRequest, type Reply } from './program.ts';
import { Closed, gated, type Gate } from './python-gate.ts';
import { pythonSetup } from './python-setup.ts';
import type { Runner } from './serve.ts';

/** Files of the package: `lock` is the text of its lock file, of which only the head is used, so no package can be had. */
export type PythonFiles = {
  readonly wasm: Uint8Array<ArrayBuffer>;
  readonly stdlib: Uint8Array<ArrayBuffer>;
  readonly lock: string;
};

/** A thread whose memory has grown beyond this is replaced after its run: WebAssembly memory never shrinks. */
const keepBytes = 128 * 2 ** 20;
const pageBytes = 65_536;
/** "Read-only file system" in WASI's numbering. */
const readOnly = 69;

type Stream = { fd: number | null; node: { mode: number } };
type FileSystem = {
  streams: (Stream | null)[];
  currentPath: string;
  ErrnoError: new (errno: number) => Error;
} & Record<string, (...args: unknown[]) => unknown>;

/** Python's own C interface. */
type Exports = {
  memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  PyRun_SimpleString(text: number): number;
  emscripten_stack_get_current(): number;
  _emscripten_stack_restore(at: number): void;
};

type Python = {
  exports: Exports;
  bound: Bound;
  /** What was printed, and what the setup's `run` said at its end. */
  printed: Printed;
  verdict: Printed;
  restore(): void;
};

/** `load` is Pyodide's own, imported where it takes this thread for a browser's; `indexUrl` is where its module stands. */
export async function loadPython(load: typeof loadPyodide, indexUrl: string, files: PythonFiles): Promise<Runner> {
  const gate: Gate = { closed: false };
  const bound = boundMemory();
  const exported = serveFiles(files, gate);
  const pyodide = await load({
    indexURL: indexUrl,
    jsglobals: Object.create(null) as object,
    lockFileContents: JSON.stringify({ ...(JSON.parse(files.lock) as object), packages: {} }),
    packageBaseUrl: indexUrl,
    enableRunUntilComplete: false,
    env: { HOME: '/', PYTHONHASHSEED: '0' },
  });
  const [printed, verdict] = [new Printed(), new Printed()];
  pyodide.setStdin({ stdin: () => undefined });
  pyodide.setStdout({ write: (bytes) => printed.take(bytes), isatty: false });
  pyodide.setStderr({ write: (bytes) => verdict.take(bytes), isatty: false });
  const interrupt = typeof SharedArrayBuffer === 'undefined' ? null : new SharedArrayBuffer(1);
  if (interrupt !== null) pyodide.setInterruptBuffer(new Uint8Array(interrupt));
  pyodide.runPython(pythonSetup);
  const exports = (await exported) as Exports;
  const { FS } = (pyodide as unknown as { _module: { FS: FileSystem } })._module;
  freezeFiles(FS);
  gate.closed = true;
  const python: Python = { exports, bound, printed, verdict, restore: keep(exports, FS) };
  return { interrupt, run: (request) => runIn(python, request) };
}

function runIn({ exports, bound, printed, verdict, restore }: Python, request: ProgramRequest): Reply {
  const { program, test, data, limits } = request;
  Object.assign(bound, { bytes: limits.memoryBytes, hit: false });
  printed.start();
  verdict.start();
  const [a, b, c] = [program, test, data].map((text) => (text === null ? 'None' : JSON.stringify(text)));
  let error: string | null;
  try {
    call(exports, `__import__('_sandbox').run(${a}, ${b}, ${c})`);
    error = errorIn(verdict.last());
  } catch (thrown) {
    error = thrown instanceof Closed ? thrown.message : 'the program broke its sandbox';
    if (thrown instanceof RangeError) error = 'stack overflow: too deep a recursion';
  }
  const reusable = exports.memory.buffer.byteLength <= keepBytes;
  if (reusable) restore();
  const output = printed.text(limits.outputChars);
  if (error === null) return { ok: true, output, error, reusable };
  return failed(output, bound.hit ? outOfMemory(limits) : error, reusable);
}

/** Reads what the setup's `run` says at its end; nothing where it did not get there. */
function errorIn(said: string): string | null {
  if (said === 'done') return null;
  return said.startsWith('failed ') ? said.slice('failed '.length) : 'the program broke its sandbox';
}

function call({ memory, malloc, PyRun_SimpleString: run }: Exports, source: string): void {
  const bytes = new TextEncoder().encode(source);
  const at = malloc(bytes.length + 1);
  if (at === 0) throw new RangeError('no memory for the program');
  const heap = new Uint8Array(memory.buffer);
  heap.set(bytes, at);
  heap[at + bytes.length] = 0;
  run(at);
}

type Bound = { bytes: number; hit: boolean };

/** Every WebAssembly memory of this thread grows to `bytes` at most. */
function boundMemory(): Bound {
  const bound: Bound = { bytes: Infinity, hit: false };
  const grow = WebAssembly.Memory.prototype.grow;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (this.buffer.byteLength + pages * pageBytes <= bound.bytes) return grow.call(this, pages);
    bound.hit = true;
    throw new RangeError('over the limit');
  };
  return bound;
}

/** Pyodide fetches its two files by address; they are here already. Gives the exports once Pyodide is instantiated. */
function serveFiles({ wasm, stdlib }: PythonFiles, gate: Gate): Promise<WebAssembly.Exports> {
  globalThis.fetch = () => Promise.resolve(new Response(stdlib));
  return new Promise((settle) => {
    WebAssembly.instantiateStreaming = async (_, imports = {}) => {
      const module = await WebAssembly.compile(wasm);
      const instance = await WebAssembly.instantiate(module, gated(module, imports, gate));
      settle(instance.exports);
      return { module, instance };
    };
  });
}

/** Files are read, not made or written; what is printed still is, and its streams stay open. No node: no socket, no pipe. */
function freezeFiles(fs: FileSystem): void {
  const refuse = (): never => {
    throw new fs.ErrnoError(readOnly);
  };
  const { write, close } = fs;
  const standard = new Set<unknown>(fs.streams);
  fs['write'] = (stream, ...rest) =>
    fs['isChrdev']((stream as Stream).node.mode) === true ? write(stream, ...rest) : refuse();
  fs['close'] = (stream) => (standard.has(stream) ? refuse() : close(stream));
  for (const name of ['createNode', 'mknod', 'truncate', 'msync']) fs[name] = refuse;
}

/**
 * Remembers Python's memory, stack and open files; the function it returns puts them back. With the gate closed that is all
 * a program can change, so it holds after a trap or an exception as well.
 */
function keep(exports: Exports, fs: FileSystem): () => void {
  const { memory } = exports;
  const copy = new Uint8Array(memory.buffer).slice();
  const stack = exports.emscripten_stack_get_current();
  const streams = [...fs.streams];
  const { currentPath } = fs;
  return () => {
    exports._emscripten_stack_restore(stack);
    const heap = new Uint8Array(memory.buffer);
    heap.set(copy);
    heap.fill(0, copy.length);
    fs.streams.splice(0, fs.streams.length, ...streams);
    fs.currentPath = currentPath;
  };
}

/** Bytes written to one stream: the first of them, and the last write. */
class Printed {
  private static readonly maxBytes = 4 * 2 ** 20;
  private pieces: Uint8Array[] = [];
  private size = 0;
  private latest = new Uint8Array();

  start(): void {
    this.pieces = [];
    this.size = 0;
    this.latest = new Uint8Array();
  }

  take(bytes: Uint8Array): number {
    this.latest = bytes.slice();
    if (this.size < Printed.maxBytes) this.pieces.push(this.latest);
    this.size += bytes.length;
    return bytes.length;
  }

  text(maxChars: number): string {
    const decoder = new TextDecoder();
    let text = '';
    for (const piece of this.pieces) {
      text += decoder.decode(piece, { stream: true });
      if (text.length >= maxChars) break;
    }
    return text.slice(0, maxChars).replace(/\n$/, '');
  }

  last(): string {
    return new TextDecoder().decode(this.latest);
  }
}
