/**
 * WebAssembly in browsers and Electron: the module's bytes are an asset of the build, threads are Web Workers of the same
 * origin. Nothing is evaluated from strings or blobs, so `script-src 'self' 'wasm-unsafe-eval'` is enough.
 */
import backendUrl from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url';
import { UserError } from '../errors.ts';
import type { WasmHost } from './hosts.ts';
import type { StartHelper } from './wasm-gemm/threads.ts';

const startHelper: StartHelper = (start) => {
  const worker = new Worker(new URL('./wasm-gemm/helper.web.ts', import.meta.url), {
    type: 'module',
    name: 'troupe-helper',
  });
  worker.postMessage(start);
  return () => worker.terminate();
};

export const webWasmHost: WasmHost = {
  async backendBytes() {
    const response = await fetch(backendUrl);
    if (!response.ok)
      throw new UserError(
        `the WebAssembly module did not load: HTTP ${response.status} for ${backendUrl}; reload the page`,
      );
    return new Uint8Array(await response.arrayBuffer());
  },
  cores: navigator.hardwareConcurrency || 1,
  startHelper,
  prepare: () => {},
  guard: (start) => start(),
};
