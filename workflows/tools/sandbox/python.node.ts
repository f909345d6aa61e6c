/**
 * Entry of a Python sandbox under Node. Where Pyodide sees Node it gives Python Node's files, sockets and child processes,
 * so it is loaded where it sees the worker of a browser, with nothing but the files it needs.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { loadPython } from './python.ts';
import { serveNodeThread } from './thread.node.ts';

serveNodeThread(async () => {
  const file = (name: string): string => createRequire(import.meta.url).resolve(`pyodide/${name}`);
  const [wasm, stdlib] = await Promise.all(
    ['pyodide.asm.wasm', 'python_stdlib.zip'].map(async (name) => new Uint8Array(await readFile(file(name)))),
  );
  const lock = await readFile(file('pyodide-lock.json'), 'utf8');
  const address = pathToFileURL(file('pyodide.mjs'));
  const anything = { [Symbol.hasInstance]: () => true };
  Object.assign(globalThis, { self: globalThis, location: address, WorkerGlobalScope: anything, process: undefined });
  const { loadPyodide } = await import('pyodide');
  return loadPython(loadPyodide, new URL('.', address).href, { wasm, stdlib, lock });
});
