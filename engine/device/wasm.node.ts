/**
 * WebAssembly under Node: the module's bytes from the installed package, threads from worker_threads, and relaxed SIMD,
 * which Node 20 hides behind a flag of V8.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import type { WasmHost } from './hosts.ts';
import type { StartHelper } from './wasm-gemm/threads.ts';

/** Plain source, so that it needs no loader and no file beside a bundle. */
const HELPER = `
const { workerData: { module, memory, control, scratch } } = require('node:worker_threads');
new WebAssembly.Instance(module, { e: { memory } }).exports.serve(control, scratch);
`;

const startHelper: StartHelper = (start) => {
  const worker = new Worker(HELPER, { eval: true, workerData: start, execArgv: [], env: {} });
  worker.unref();
  worker.on('error', (error) => {
    throw error;
  });
  return () => void worker.terminate();
};

export const nodeWasmHost: WasmHost = {
  async backendBytes() {
    const path = createRequire(import.meta.url).resolve(
      '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm',
    );
    return new Uint8Array(await readFile(path));
  },
  cores: availableParallelism(),
  startHelper,
  prepare: () => setFlagsFromString('--experimental-wasm-relaxed-simd'),
  guard: withoutCrashHandlers,
};

/** Emscripten's loader adds handlers that rethrow whatever is uncaught, with its whole source as the message's context. */
async function withoutCrashHandlers<T>(start: () => Promise<T>): Promise<T> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => new Set(process.listeners(event as 'uncaughtException')));
  try {
    return await start();
  } finally {
    events.forEach((event, i) => {
      for (const listener of process.listeners(event as 'uncaughtException')) {
        if (!before[i]!.has(listener)) process.removeListener(event, listener);
      }
    });
  }
}
