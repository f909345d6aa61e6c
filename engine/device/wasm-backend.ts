/**
 * tfjs's WebAssembly backend, started by us instead of by its own loader: from bytes we hand it (no fetch, no eval, no blob
 * workers, so it lives under a strict content policy), and with its memory declared shared where threads can share it.
 * tfjs's module runs on one thread; the threads are ours. Its allocator fails loudly here instead of returning address 0.
 */
import { BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import createModule from '@tensorflow/tfjs-backend-wasm/wasm-out/tfjs-backend-wasm.js';
import type { Tf } from './device.ts';
import { OutOfMemory } from './out-of-memory.ts';
import type { Heap } from './wasm-gemm/threads.ts';

export type WasmBackend = BackendWasm;

type Allocator = { _malloc(bytes: number): number; _free(address: number): void };
type EmscriptenModule = Awaited<ReturnType<typeof createModule>> & Allocator;
type Cwrap = (name: string, result: string | null, args: string[]) => (...values: number[]) => number;

const ADDRESSABLE = 2 ** 32;
const MEMORY_SECTION = 5;
const WITH_MAXIMUM = 0x01;
const WITH_MAXIMUM_SHARED = 0x03;

/**
 * The same module with its memory marked as shared. Only the limits flag changes, which is one byte: ordinary loads and
 * stores are valid on shared memory. Source: WebAssembly threads proposal, binary format of limits.
 */
export function withSharedMemory(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const out = bytes.slice();
  let at = 8;
  while (at < out.length) {
    const id = out[at++]!;
    const [length, size] = readLeb(out, at);
    at += size;
    if (id === MEMORY_SECTION) {
      const flag = at + 1; // after the count of memories
      if (out[at] !== 1 || out[flag] !== WITH_MAXIMUM) break;
      out[flag] = WITH_MAXIMUM_SHARED;
      return out;
    }
    at += length;
  }
  throw new Error('the WebAssembly backend declares no single memory with a maximum; its version has changed');
}

function readLeb(bytes: Uint8Array, at: number): [value: number, size: number] {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i]!;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return [value, i + 1];
  }
  throw new Error('malformed WebAssembly module');
}

/** Instantiates tfjs's module and makes it tfjs's backend 'wasm' (not yet active). */
export async function createWasmBackend(
  tf: Tf,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<{ backend: WasmBackend; heap: Heap; whenShort: Set<() => void> }> {
  let memory: WebAssembly.Memory | null = null;
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<never>((_, reject) => (failed = reject));
  const module = (await Promise.race([
    createModule({
      instantiateWasm: (imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) => {
        WebAssembly.instantiate(bytes, imports).then(({ instance }) => {
          memory = Object.values(instance.exports).find((e) => e instanceof WebAssembly.Memory) as WebAssembly.Memory;
          done(instance);
        }, failed);
        return {};
      },
    }),
    failure,
  ])) as EmscriptenModule;
  addCalls(module);
  const whenShort = new Set<() => void>();
  const heap = failLoudly(module, memory!, whenShort);
  const backend = new BackendWasm(module as unknown as ConstructorParameters<typeof BackendWasm>[0]);
  if (tf.findBackendFactory('wasm')) tf.removeBackend('wasm');
  tf.registerBackend('wasm', () => backend, 3);
  return { backend, heap, whenShort };
}

/** The calls that tfjs's own loader would have wrapped. */
function addCalls(module: EmscriptenModule): void {
  const cwrap = (module as unknown as { cwrap: Cwrap }).cwrap;
  module.tfjs = {
    init: cwrap('init', null, []),
    initWithThreadsCount: cwrap('init_with_threads_count', null, ['number']),
    getThreadsCount: cwrap('get_threads_count', 'number', []),
    registerTensor: cwrap('register_tensor', null, ['number', 'number', 'number']),
    disposeData: cwrap('dispose_data', null, ['number']),
    dispose: cwrap('dispose', null, []),
  } as unknown as EmscriptenModule['tfjs'];
}

/** Where memory is out, those who hold some that can be had again give it back first. */
export function failLoudly(
  module: Allocator,
  memory: WebAssembly.Memory,
  whenShort: ReadonlySet<() => void> = new Set(),
): Heap {
  module._free(module._malloc(16)); // the first call replaces the stubs by the module's own functions
  const malloc = module._malloc;
  const allocate = (bytes: number): number => {
    let address = bytes < ADDRESSABLE ? malloc(bytes) >>> 0 : 0;
    if (address === 0 && bytes < ADDRESSABLE && bytes > 0 && whenShort.size > 0) {
      for (const free of whenShort) free();
      address = malloc(bytes) >>> 0;
    }
    if (address === 0 && bytes > 0) throw new OutOfMemory(bytes, 'WebAssembly memory (4 GiB at most)');
    return address;
  };
  module._malloc = allocate;
  return { memory, allocate, free: (address) => module._free(address) };
}
