/**
 * The open WebAssembly device as hand-written steps see it: threads, products, and tensors by their address in the one
 * memory they all work in. tfjs stays the owner of that memory; an address holds until its tensor is disposed.
 */
import type * as tfjs from '@tensorflow/tfjs';
import type { Tf } from './device.ts';
import type { WasmBackend } from './wasm-backend.ts';
import type { Gemm } from './wasm-gemm/gemm.ts';
import type { ThreadTeam } from './wasm-gemm/threads.ts';

export class WasmMachine {
  readonly team: ThreadTeam;
  readonly gemm: Gemm;
  readonly #tf: Tf;
  readonly #backend: WasmBackend;
  readonly #whenShort: Set<() => void>;

  /** `whenShort`: what gives memory back when an allocation has failed; it is then tried once more. */
  constructor(tf: Tf, team: ThreadTeam, gemm: Gemm, backend: WasmBackend, whenShort: Set<() => void>) {
    this.#tf = tf;
    this.team = team;
    this.gemm = gemm;
    this.#backend = backend;
    this.#whenShort = whenShort;
  }

  /** Of a tensor's first number, in bytes. */
  addressOf(tensor: tfjs.Tensor): number {
    return this.#backend.dataIdMap.get(tensor.dataId).memoryOffset;
  }

  /** A tensor whose numbers are whatever the memory held; kept until it is disposed. */
  allocate<T extends tfjs.Tensor>(shape: readonly number[], dtype: 'float32' | 'int32' = 'float32'): T {
    const info = this.#backend.makeOutput([...shape], dtype);
    return this.#tf.keep(this.#tf.engine().makeTensorFromTensorInfo(info)) as T;
  }

  /** Calls `free` when memory has run out, until the function that is returned is called. */
  whenShort(free: () => void): () => void {
    this.#whenShort.add(free);
    return () => this.#whenShort.delete(free);
  }
}

let active: WasmMachine | null = null;

/** Of the device that is open now, or null. */
export function activeWasm(): WasmMachine | null {
  return active;
}

export function setActiveWasm(machine: WasmMachine | null): void {
  active = machine;
}
