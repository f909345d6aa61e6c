/** What travels between host and device, counted where it does, and how long as much takes by itself. */
import type { Gpu } from '../engine/webgpu/gpu.ts';

export type Transfers = { up: number; upBytes: number; down: number; downBytes: number };

/** Counts until `stop` is called. */
export function countTransfers({ device }: Gpu): { readonly counted: Transfers; stop(): void } {
  const counted: Transfers = { up: 0, upBytes: 0, down: 0, downBytes: 0 };
  const { createBuffer } = device;
  const { writeBuffer } = device.queue;
  const { mapAsync } = GPUBuffer.prototype;
  device.createBuffer = function (descriptor): GPUBuffer {
    if (descriptor.mappedAtCreation) note(counted, 'up', descriptor.size);
    return createBuffer.call(this, descriptor);
  };
  // Buffers to read from are kept and mapped again.
  GPUBuffer.prototype.mapAsync = function (this: GPUBuffer, mode, offset = 0, size) {
    note(counted, mode & GPUMapMode.READ ? 'down' : 'up', size ?? this.size - offset);
    return mapAsync.call(this, mode, offset, size);
  };
  device.queue.writeBuffer = function (...call: Parameters<GPUQueue['writeBuffer']>): undefined {
    note(counted, 'up', call[4] ?? call[2].byteLength);
    return writeBuffer.apply(this, call);
  };
  return {
    counted,
    stop: () => {
      device.createBuffer = createBuffer;
      device.queue.writeBuffer = writeBuffer;
      GPUBuffer.prototype.mapAsync = mapAsync;
    },
  };
}

function note(counted: Transfers, way: 'up' | 'down', bytes: number): void {
  counted[way]++;
  counted[`${way}Bytes`] += bytes;
}

/** Seconds that so many writes and readings of the same mean size take when the device does nothing else. */
export async function timeTransfers({ device }: Gpu, { up, upBytes, down, downBytes }: Transfers): Promise<number> {
  const sizeOf = (bytes: number, count: number): number => Math.max(4, Math.ceil(bytes / Math.max(1, count) / 4) * 4);
  const [upSize, downSize] = [sizeOf(upBytes, up), sizeOf(downBytes, down)];
  const size = Math.max(upSize, downSize);
  const own = device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const read = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const values = new Uint8Array(upSize);
  const started = performance.now();
  for (let i = 0; i < up; i++) device.queue.writeBuffer(own, 0, values);
  await device.queue.onSubmittedWorkDone();
  for (let i = 0; i < down; i++) {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(own, 0, read, 0, downSize);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ, 0, downSize);
    read.getMappedRange(0, downSize).slice(0);
    read.unmap();
  }
  const seconds = (performance.now() - started) / 1000;
  own.destroy();
  read.destroy();
  return seconds;
}
