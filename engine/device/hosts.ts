/**
 * What devices need from the place they run in: a file's bytes, a thread, a GPU. Node and the browser each register theirs
 * when their entry point is imported (`register.node.ts`, `register.web.ts`), so nothing else names a platform.
 */
import type { StartHelper } from './wasm-gemm/threads.ts';

export type WasmHost = {
  /** Bytes of tfjs's SIMD WebAssembly module. */
  backendBytes(): Promise<Uint8Array<ArrayBuffer>>;
  /** Logical processors. */
  readonly cores: number;
  /** Null where threads cannot share memory. */
  readonly startHelper: StartHelper | null;
  /** Called before our kernels compile; turns on what the platform hides behind a flag. */
  prepare(): void;
  /** Runs the start of tfjs's module and undoes what it does to the process. */
  guard<T>(start: () => Promise<T>): Promise<T>;
};

export type GpuHost = {
  /** The entry to WebGPU, or a sentence saying why there is none. */
  gpu(): Promise<GPU | string>;
  /** Called once an adapter is open that computes on the processor: who waits for it shall leave it that processor. */
  restWhileWaiting(): void;
};

let wasm: WasmHost | null = null;
let gpu: GpuHost | null = null;

export function registerHosts(hosts: { wasm: WasmHost; gpu: GpuHost }): void {
  wasm = hosts.wasm;
  gpu = hosts.gpu;
}

export function wasmHost(): WasmHost {
  if (!wasm) throw new Error('no platform registered: import engine/device/register.node.ts or register.web.ts first');
  return wasm;
}

export function gpuHost(): GpuHost {
  if (!gpu) throw new Error('no platform registered: import engine/device/register.node.ts or register.web.ts first');
  return gpu;
}
