/**
 * Our own dispatches on the device that tfjs is a guest of. Buffers are those of tfjs tensors: weights are read where tfjs
 * keeps them, and whatever we allocate is a tensor too, so memory is counted and given back in one place. Work is ordered
 * by the queue: what tfjs has recorded is submitted before ours, and ours before anything tfjs records later.
 */
import * as tf from '@tensorflow/tfjs';
import { isSoftware } from '../device/adapter.ts';
import type { Autotuner } from './autotune.ts';
import type { Kernel } from './kernel.ts';
import { encodeTexelLoad, type TexelLoad } from './texels.ts';
import { entriesOf, type Binding } from './wgsl.ts';

/** What we use of tfjs's backend; see tfjs-backend-webgpu, backend_webgpu.ts. */
type GuestBackend = {
  readonly device: GPUDevice;
  readonly tensorMap: { get(id: object): { resource: GPUBuffer | null; values: tf.BackendValues | null } };
  uploadToGPU(id: object): void;
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  /** Free buffers by size and use, kept for tensors to come. */
  readonly bufferManager: {
    readonly freeBuffers: ReadonlyMap<string, GPUBuffer[]>;
    acquireBuffer(size: number, usage: number): GPUBuffer;
    numFreeBuffers: number;
    numBytesAllocated: number;
    readonly numBytesUsed: number;
  };
};

/** A dispatch with everything bound, and what must be in its textures before it. */
export type Step = {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly loads?: readonly TexelLoad[];
};

/** What stands behind a binding: a whole buffer, or a part that starts at a multiple of 256 bytes. */
export type Bound = GPUBuffer | GPUBufferBinding;

export class Gpu {
  readonly device: GPUDevice;
  /** Emulated on the CPU. */
  readonly software: boolean;
  readonly #backend: GuestBackend;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  /** Measures products and remembers; null where nothing is to be measured. */
  autotuner: Autotuner | null = null;
  /** Dispatches and submissions so far. */
  dispatches = 0;
  submits = 0;

  constructor(backend: GuestBackend) {
    this.#backend = backend;
    this.device = backend.device;
    this.software = isSoftware(backend.device.adapterInfo);
  }

  /** The tensor's own buffer. It is the tensor's only as long as that lives. */
  bufferOf(tensor: tf.Tensor): GPUBuffer {
    this.#backend.uploadToGPU(tensor.dataId);
    return this.#backend.tensorMap.get(tensor.dataId).resource!;
  }

  /** The same, to be written to: what was read of it before is forgotten. */
  bufferToChange(tensor: tf.Tensor): GPUBuffer {
    const buffer = this.bufferOf(tensor);
    this.#backend.tensorMap.get(tensor.dataId).values = null;
    return buffer;
  }

  /** A tensor with a buffer and no particular values; the caller disposes it. In `windows` kernels may read it as uniforms. */
  allocate<T extends tf.Tensor>(
    shape: readonly number[],
    dtype: 'float32' | 'int32' = 'float32',
    { windows = false } = {},
  ): T {
    const tensor = tf.engine().makeTensorFromTensorInfo(this.#backend.makeTensorInfo(shape, dtype)) as T;
    if (windows)
      this.#backend.tensorMap.get(tensor.dataId).resource = this.#backend.bufferManager.acquireBuffer(
        4 * tensor.size,
        GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      );
    this.#backend.uploadToGPU(tensor.dataId);
    return tensor;
  }

  /** Float tensors one after the other in a new one; a number stands for so many zeros. The caller disposes it. */
  concat(pieces: readonly (tf.Tensor | number)[], read: { readonly windows?: boolean } = {}): tf.Tensor1D {
    const sizeOf = (piece: tf.Tensor | number): number => (typeof piece === 'number' ? piece : piece.size);
    const size = pieces.reduce<number>((sum, piece) => sum + sizeOf(piece), 0);
    const whole = this.allocate<tf.Tensor1D>([size], 'float32', read);
    const to = this.bufferOf(whole);
    const sources = pieces.map((piece) => (typeof piece === 'number' ? null : this.bufferOf(piece)));
    this.#flushGuest();
    const encoder = this.device.createCommandEncoder();
    let offset = 0;
    for (const [i, piece] of pieces.entries()) {
      const bytes = 4 * sizeOf(piece);
      const source = sources[i];
      if (source) encoder.copyBufferToBuffer(source, 0, to, offset, bytes);
      else if (bytes > 0) encoder.clearBuffer(to, offset, bytes);
      offset += bytes;
    }
    this.device.queue.submit([encoder.finish()]);
    return whole;
  }

  /** A copy that bindings of windows can show, with zeros behind it until the last window is whole; the caller disposes it. */
  inWindows(tensor: tf.Tensor, { count, elements }: NonNullable<Binding['windows']>): tf.Tensor1D {
    return this.concat([tensor, 4 * count * elements - tensor.size], { windows: true });
  }

  /** Bytes that tfjs keeps for tensors to come. */
  pooledBytes(): number {
    const { numBytesAllocated, numBytesUsed } = this.#backend.bufferManager;
    return numBytesAllocated - numBytesUsed;
  }

  /** Gives the device back what tfjs keeps for tensors to come: it pools buffers by exact size and never frees one. */
  trim(): void {
    this.#flushGuest();
    const pool = this.#backend.bufferManager;
    for (const buffers of pool.freeBuffers.values())
      for (const buffer of buffers.splice(0)) {
        pool.numFreeBuffers--;
        pool.numBytesAllocated -= buffer.size;
        buffer.destroy();
      }
  }

  /** From byte `at` on. Takes effect before the next `run`. */
  write(buffer: GPUBuffer, values: Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>, at = 0): void {
    this.device.queue.writeBuffer(buffer, at, values);
  }

  /** `buffers` in the order of the kernel's bindings. */
  bind(kernel: Kernel, buffers: readonly (Bound | GPUTexture)[]): Step {
    if (buffers.length !== kernel.bindings.length)
      throw new Error(`${kernel.name}: ${buffers.length} buffers for ${kernel.bindings.length} bindings`);
    const pipeline = this.#pipeline(kernel);
    const resources = buffers.flatMap((bound, i) => resourcesOf(bound, kernel.bindings[i]));
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    return {
      kernel,
      pipeline,
      group: this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
    };
  }

  /**
   * One encoder, one submission, and one pass unless steps load texels: copies in, all steps over `rows` rows, copies out.
   */
  run(steps: readonly Step[], rows: number, around: { before?: readonly Copy[]; after?: readonly Copy[] } = {}): void {
    this.#flushGuest();
    const encoder = this.device.createCommandEncoder();
    for (const copy of around.before ?? []) encodeCopy(encoder, copy);
    let pass = encoder.beginComputePass();
    for (const { kernel, pipeline, group, loads = [] } of steps) {
      if (loads.length > 0) {
        pass.end();
        for (const load of loads) encodeTexelLoad(encoder, load);
        pass = encoder.beginComputePass();
      }
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...kernel.grid(rows));
    }
    pass.end();
    for (const copy of around.after ?? []) encodeCopy(encoder, copy);
    this.device.queue.submit([encoder.finish()]);
    this.dispatches += steps.length;
    this.submits++;
  }

  #flushGuest(): void {
    this.#backend.ensureCommandEncoderReady();
    this.#backend.endComputePassEncoder();
    this.#backend.submitQueue();
  }

  #pipeline(kernel: Kernel): GPUComputePipeline {
    const known = this.#pipelines.get(kernel.source);
    if (known) return known;
    const { device } = this;
    const layouts = kernel.bindings.flatMap((of) => Array.from({ length: entriesOf(of) }, () => layoutOf(of)));
    const layout = device.createBindGroupLayout({
      entries: layouts.map((of, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, ...of })),
    });
    const pipeline = device.createComputePipeline({
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ label: kernel.name, code: kernel.source }), entryPoint: 'main' },
    });
    this.#pipelines.set(kernel.source, pipeline);
    return pipeline;
  }
}

function resourcesOf(bound: Bound | GPUTexture, { windows }: Binding): GPUBindingResource[] {
  if ('createView' in bound) return [bound.createView()];
  const part: GPUBufferBinding = 'buffer' in bound ? bound : { buffer: bound };
  if (!windows) return [part];
  const { buffer, offset = 0, size: bytes = buffer.size - offset } = part;
  const size = 16 * windows.elements;
  // Behind the end is nothing that anyone asks for: there a window may show anything.
  const within = Math.floor(bytes / size);
  if (within === 0 || !(buffer.usage & GPUBufferUsage.UNIFORM))
    throw new Error(`no windows of ${size} bytes on ${bytes} of a buffer for use ${buffer.usage}`);
  return Array.from({ length: windows.count }, (_, i) => ({ buffer, offset: offset + (i % within) * size, size }));
}

function layoutOf({ access, windows }: Binding): Pick<GPUBindGroupLayoutEntry, 'buffer' | 'texture'> {
  if (access === 'texels') return { texture: { sampleType: 'unfilterable-float' } };
  if (windows) return { buffer: { type: 'uniform' } };
  return { buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' } };
}

/** `bytes` from one buffer to another, from their starts unless told otherwise. */
export type Copy = {
  readonly from: GPUBuffer;
  readonly fromAt?: number;
  readonly to: GPUBuffer;
  readonly toAt?: number;
  readonly bytes: number;
};

function encodeCopy(encoder: GPUCommandEncoder, { from, fromAt = 0, to, toAt = 0, bytes }: Copy): void {
  encoder.copyBufferToBuffer(from, fromAt, to, toAt, bytes);
}

const opened = new WeakMap<object, Gpu>();

/** The device of the active backend, which must be webgpu. */
export function activeGpu(): Gpu {
  const backend = tf.backend() as unknown as GuestBackend;
  if (tf.getBackend() !== 'webgpu') throw new Error(`the fast kernels run on webgpu, not ${tf.getBackend()}`);
  const gpu = opened.get(backend) ?? new Gpu(backend);
  opened.set(backend, gpu);
  return gpu;
}
