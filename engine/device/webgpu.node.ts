/**
 * WebGPU under Node: Dawn, from the npm package `webgpu`. Its globals are installed as a browser has them, since tfjs looks
 * for them there. Mesa's Vulkan drivers want XDG_RUNTIME_DIR, which a bare shell or a container may lack.
 */
import { mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GpuHost } from './hosts.ts';

let opened: Promise<GPU | string> | null = null;

export const nodeGpuHost: GpuHost = { gpu: () => (opened ??= openDawn()), restWhileWaiting };

/** Up to so many cores, threads of an emulated GPU are doubled. On more it was not measured. */
const FEW_CORES = 4;

/** For Mesa's drivers; a thread's own `process.env` would not reach them, so workers share their parent's. */
function prepareMesa(): void {
  process.env['XDG_RUNTIME_DIR'] ||= mkdtempSync(join(tmpdir(), 'troupe-xdg-'));
  // llvmpipe deals a dispatch out in equal shares, one a core. Whoever's share waits for a core, the others wait for: with
  // two a core, a batch of 32 decodes, and an adapter learns, 15 % faster.
  const cores = availableParallelism();
  if (cores <= FEW_CORES) process.env['LP_NUM_THREADS'] ||= String(2 * cores);
}

async function openDawn(): Promise<GPU | string> {
  if (process.platform === 'linux') prepareMesa();
  if (process.platform === 'linux' && !loads('libvulkan.so.1')) return 'no Vulkan loader (libvulkan.so.1) is installed';
  try {
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    // Dawn hides half floats on NVIDIA's Vulkan drivers. Here a user chooses them, and matrix units are checked before use.
    const gpu = create(['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia']);
    const navigator = { gpu, userAgent: 'node', hardwareConcurrency: 1 };
    Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true, writable: true });
    return gpu;
  } catch (error) {
    return `Dawn (the npm package webgpu) does not load here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Whether the dynamic linker finds a library. Dawn would print its own warning on finding none. */
function loads(library: string): boolean {
  try {
    process.dlopen({ exports: {} } as NodeJS.Module, library);
    return true;
  } catch (error) {
    return !/cannot open shared object file|no such file/i.test(String(error)); // found, but no Node module: good
  }
}

const REST_MS = 1;
let resting = false;

/**
 * Dawn looks after its promises in every turn of the event loop, which then turns without a rest. With one of them open, each
 * turn sleeps a little.
 */
function restWhileWaiting(): void {
  if (resting) return;
  resting = true;
  const never = new Int32Array(new SharedArrayBuffer(4));
  let waiting = 0;
  let due = false;
  // One rest a turn, also where a wait begins before the last one's next rest was called off.
  const restSoon = (): void => {
    if (due) return;
    due = true;
    setImmediate(rest);
  };
  const rest = (): void => {
    due = false;
    if (waiting === 0) return;
    Atomics.wait(never, 0, 0, REST_MS);
    restSoon();
  };
  const whileOpen = async <T>(promise: Promise<T>): Promise<T> => {
    waiting++;
    restSoon();
    try {
      return await promise;
    } finally {
      waiting--;
    }
  };
  const { mapAsync } = GPUBuffer.prototype;
  GPUBuffer.prototype.mapAsync = function (...range) {
    return whileOpen(mapAsync.apply(this, range));
  };
  const { onSubmittedWorkDone } = GPUQueue.prototype;
  GPUQueue.prototype.onSubmittedWorkDone = function () {
    return whileOpen(onSubmittedWorkDone.call(this));
  };
}
