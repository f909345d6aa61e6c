/**
 * The CPU path: tfjs's WebAssembly SIMD backend with our matrix product, shared among threads where memory can be shared.
 */
import * as tf from '@tensorflow/tfjs';
import type { DeviceInfo } from '../protocol.ts';
import { registerDecoderKernels } from './decoder-kernels.ts';
import { type Device, nextTurn, quietTf } from './device.ts';
import { wasmHost } from './hosts.ts';
import { registerElementwise } from './elementwise-kernels.ts';
import { registerSegmentSum } from './segment-sum.ts';
import { restoreKernels } from './replace-kernel.ts';
import { registerSharing } from './share-kernels.ts';
import { createWasmBackend, withSharedMemory } from './wasm-backend.ts';
import { registerMatMul } from './wasm-gemm/batch-matmul.ts';
import { Gemm } from './wasm-gemm/gemm.ts';
import { hasRelaxedSimd, hasSharedMemory, type KernelOptions } from './wasm-gemm/module.ts';
import { ThreadTeam } from './wasm-gemm/threads.ts';
import { setActiveWasm, WasmMachine } from './wasm-machine.ts';

/** More threads than this wait for memory, not for arithmetic. */
const MOST_THREADS = 16;

export type WasmSettings = {
  /** Threads, the caller's included; by default one per logical processor, at most 16. */
  readonly threads?: number;
};

/** The features our kernels may use here. */
export function wasmFeatures(): { relaxed: boolean; shared: boolean; cores: number } {
  const host = wasmHost();
  host.prepare();
  return { relaxed: hasRelaxedSimd(), shared: host.startHelper !== null && hasSharedMemory(), cores: host.cores };
}

export async function openWasm(reason: string, settings: WasmSettings = {}): Promise<Device> {
  const host = wasmHost();
  quietTf(tf);
  const { relaxed, shared, cores } = wasmFeatures();
  const threads = shared ? Math.max(1, Math.min(MOST_THREADS, settings.threads ?? cores)) : 1;
  const original = await host.backendBytes();
  const { backend, heap, whenShort } = await host.guard(() =>
    createWasmBackend(tf, shared ? withSharedMemory(original) : original),
  );
  await tf.setBackend('wasm');
  const options: KernelOptions = { tileRows: 4, relaxed, shared };
  const team = await ThreadTeam.open(heap, options, threads - 1, host.startHelper);
  registerSegmentSum(tf);
  registerSharing(tf);
  const gemm = new Gemm(heap, team);
  registerMatMul(tf, gemm);
  registerElementwise(tf, team);
  registerDecoderKernels(tf, team);
  setActiveWasm(new WasmMachine(tf, team, gemm, backend, whenShort));
  return {
    info: wasmInfo(team.threads, relaxed, shared, reason),
    tf,
    yieldToEvents: nextTurn,
    memory: () => ({ usedBytes: tf.memory().numBytes, reservedBytes: heap.memory.buffer.byteLength }),
    onLost: () => {},
    close: async () => {
      setActiveWasm(null);
      team.close();
      tf.removeBackend('wasm');
      restoreKernels(tf);
    },
  };
}

function wasmInfo(threads: number, relaxed: boolean, shared: boolean, reason: string): DeviceInfo {
  const features = ['simd', ...(relaxed ? ['relaxed-simd'] : []), ...(shared ? ['shared-memory'] : [])];
  return {
    kind: 'wasm',
    name: wasmName(threads),
    software: false,
    threads,
    features,
    maxBufferBytes: 2 ** 32 - 2 ** 16,
    reason,
  };
}

export function wasmName(threads: number): string {
  return `WebAssembly SIMD, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
}

/** Puts tfjs's own kernels back on an open wasm device, with only the missing one kept: what a comparison runs against. */
export function useStockKernels(): void {
  restoreKernels(tf);
  registerSegmentSum(tf);
}
