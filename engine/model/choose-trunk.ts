/**
 * Which trunk a model gets: hand-written kernels where they fit, on WebGPU or in WebAssembly, else the plain one. The plain one can be asked
 * for everywhere, since it is what the fast one is measured and checked against.
 */
import * as tf from '@tensorflow/tfjs';
import { activeWasm } from '../device/wasm-machine.ts';
import type { ModelConfig } from '../formats/config.ts';
import type { MemoryLoad, MemoryPlan } from '../protocol.ts';
import { preferredKeys } from '../webgpu/fast-cache.ts';
import { Autotuner } from '../webgpu/autotune.ts';
import { fastTrunkFits, makeFastTrunk } from '../webgpu/fast-trunk.ts';
import { activeGpu, type Gpu } from '../webgpu/gpu.ts';
import { planMemory } from '../webgpu/memory-plan.ts';
import { makeWasmTrunk, wasmTrunkFits } from '../wasm/wasm-trunk.ts';
import { cutFor } from '../webgpu/sized-kernel.ts';
import { makeTfjsTrunk } from './tfjs-trunk.ts';
import type { Trunk } from './trunk.ts';

export type TrunkKind = 'fast' | 'tfjs';

let wanted: TrunkKind = 'fast';

/** For tests and comparisons: models loaded from now on get this trunk where it fits, and every head its kind. Returns what was set before. */
export function useTrunk(kind: TrunkKind): TrunkKind {
  const before = wanted;
  wanted = kind;
  return before;
}

export function makeTrunk(config: ModelConfig): Trunk {
  const gpu = handWrittenGpu();
  if (gpu) return fastTrunkFits(gpu, config) ? makeFastTrunk(gpu, config) : makeTfjsTrunk(config);
  const machine = wanted === 'tfjs' || tf.getBackend() !== 'wasm' ? null : activeWasm();
  return machine && wasmTrunkFits(config) ? makeWasmTrunk(machine, config) : makeTfjsTrunk(config);
}

/** Models loaded from now on are tuned to the open device, as far as that is not `known`; `changed` is told of all that is. */
export function tuneModels(
  known: Readonly<Record<string, string>>,
  changed: (chosen: Readonly<Record<string, string>>) => void,
): void {
  const gpu = handWrittenGpu();
  if (gpu) gpu.autotuner = new Autotuner(gpu, known, changed);
}

/** What a run on this model will take of the open device, or null where it would not run on hand-written kernels. */
export function planFor(config: ModelConfig, load: MemoryLoad): MemoryPlan | null {
  const gpu = handWrittenGpu();
  if (!gpu || !fastTrunkFits(gpu, config)) return null;
  const most = gpu.device.limits.maxStorageBufferBindingSize;
  return planMemory(config, { ...load, keys: preferredKeys(load) }, most, cutFor(gpu).handRound > 0);
}

/** The device for hand-written kernels, or null where there is none or plain operations are wanted. */
export function handWrittenGpu(): Gpu | null {
  return wanted === 'tfjs' || tf.getBackend() !== 'webgpu' ? null : activeGpu();
}
