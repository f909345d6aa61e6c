/**
 * Entry of a Python sandbox in browsers and Electron. Pyodide's files are assets of the build, fetched from the page's own
 * address when the first program comes and not before. Python sees the worker of a browser here, as it does under Node.
 */
import { loadPyodide } from 'pyodide';
import lockUrl from 'pyodide/pyodide-lock.json?url';
import moduleUrl from 'pyodide/pyodide.asm.mjs?url';
import wasmUrl from 'pyodide/pyodide.asm.wasm?url';
import stdlibUrl from 'pyodide/python_stdlib.zip?url';
import { loadPython } from './python.ts';
import { serveRuns } from './serve.ts';

type Options = NonNullable<Parameters<typeof loadPyodide>[0]>;
type PyodideModule = { default: NonNullable<Options['createPyodideModule']> };

const at = (url: string) => new URL(url, self.location.href).href;

async function fetched(url: string): Promise<Response> {
  const response = await fetch(at(url));
  if (!response.ok) throw new Error(`a file of Python is missing (${response.status}): ${url}`);
  return response;
}

const bytesAt = async (url: string) => new Uint8Array(await (await fetched(url)).arrayBuffer());

serveRuns(
  {
    post: (message) => self.postMessage(message),
    listen: (receive) => self.addEventListener('message', (event) => receive(event.data)),
  },
  async () => {
    const [wasm, stdlib, lock, module] = await Promise.all([
      bytesAt(wasmUrl),
      bytesAt(stdlibUrl),
      fetched(lockUrl).then((response) => response.text()),
      // The whole address, so that nobody bundles it: the module stays the file it came as.
      import(/* @vite-ignore */ at(moduleUrl)) as Promise<PyodideModule>,
    ]);
    const load: typeof loadPyodide = (options) => loadPyodide({ ...options, createPyodideModule: module.default });
    return loadPython(load, at('.'), { wasm, stdlib, lock });
  },
);
