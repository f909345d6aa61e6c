/**
 * The GPU. The engine asks for the device itself, with every feature and limit the adapter has that our kernels can use,
 * and registers tfjs on it as a guest (tfjs's own request would take neither half floats nor subgroups and eight storage
 * buffers at most). It knows nothing of kernels.
 */
import * as tf from '@tensorflow/tfjs';
import { type AdapterReport, requireAdapter } from './adapter.ts';
import { type Device, nextTurn, quietTf } from './device.ts';
import { gpuHost } from './hosts.ts';
import { OutOfMemory } from './out-of-memory.ts';

const WANTED_FEATURES = [
  'shader-f16',
  'subgroups',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
] as const;

/** Those that our kernels, or tfjs's, ever come near; the least of every other is enough. */
const WANTED_LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxTextureDimension2D',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupsPerDimension',
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** The part of tfjs's WebGPU backend that we call. */
type GuestBackend = {
  submitQueue(): void;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  memory(): { numBytesInGPU: number; numBytesAllocatedInGPU: number };
};

export async function openWebGpu(reason: string, found?: AdapterReport): Promise<Device> {
  const { adapter, name, software } = found ?? (await requireAdapter());
  const gpu = await requestDevice(adapter);
  if (software) gpuHost().restWhileWaiting();
  const backend = await registerGuest(gpu, adapter.info);
  let fault: Error | null = null;
  let closed = false;
  gpu.addEventListener('uncapturederror', (event) => {
    const { error } = event as GPUUncapturedErrorEvent;
    fault ??= faultOf(error, name);
  });
  return {
    info: {
      kind: 'webgpu',
      name,
      software,
      threads: 1,
      features: [...gpu.features].sort(),
      maxBufferBytes: gpu.limits.maxStorageBufferBindingSize,
      reason,
    },
    tf,
    gpu,
    yieldToEvents: async () => {
      flush(backend);
      await nextTurn();
      if (fault) {
        const thrown = fault;
        fault = null;
        throw thrown;
      }
    },
    memory: () => {
      const { numBytesInGPU, numBytesAllocatedInGPU } = backend.memory();
      return { usedBytes: numBytesInGPU, reservedBytes: numBytesAllocatedInGPU };
    },
    onLost: (lost) => {
      void gpu.lost.then((info) => {
        if (!closed) lost(info.message || 'the GPU device was lost');
      });
    },
    close: async () => {
      closed = true;
      tf.removeBackend('webgpu');
      gpu.destroy();
    },
  };
}

async function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredFeatures = WANTED_FEATURES.filter((f) => adapter.features.has(f)) as unknown as GPUFeatureName[];
  const requiredLimits: Record<string, number> = {};
  for (const limit of WANTED_LIMITS) {
    const value = adapter.limits[limit];
    if (typeof value === 'number') requiredLimits[limit] = value;
  }
  return adapter.requestDevice({ requiredFeatures, requiredLimits });
}

/** tfjs's backend stays registered as 'webgpu': its kernels are registered under that name. */
async function registerGuest(gpu: GPUDevice, info: GPUAdapterInfo): Promise<GuestBackend> {
  const { WebGPUBackend } = await import('@tensorflow/tfjs-backend-webgpu');
  quietTf(tf);
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  const backend = new WebGPUBackend(gpu, info);
  tf.registerBackend('webgpu', () => backend, 4);
  await tf.setBackend('webgpu');
  return backend as unknown as GuestBackend;
}

function flush(backend: GuestBackend): void {
  backend.ensureCommandEncoderReady();
  backend.endComputePassEncoder();
  backend.submitQueue();
}

/** A binding larger than the device's is want of room, too: whoever can do with less tries again. */
export function faultOf(error: GPUError, name: string): Error {
  const [, bytes] = /Binding size \((\d+)\)[^]*maximum storage buffer binding size/.exec(error.message) ?? [];
  if (bytes !== undefined) return new OutOfMemory(Number(bytes), `one binding of ${name}`);
  const memory =
    (typeof GPUOutOfMemoryError !== 'undefined' && error instanceof GPUOutOfMemoryError) ||
    /out of memory/i.test(error.message);
  return memory ? new OutOfMemory(0, `GPU memory of ${name}`) : new Error(`GPU: ${error.message}`);
}
