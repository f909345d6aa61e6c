/**
 * Where the device's time goes, by kernel: every dispatch of ours in a pass of its own, between two time stamps of the device.
 * That is slower than the passes it replaces, so nothing is timed by the clock meanwhile.
 */
import type { Gpu } from '../engine/webgpu/gpu.ts';
import { encodeTexelLoad } from '../engine/webgpu/texels.ts';
import { rounded, type Bench } from './suite.ts';

export type KernelTime = { readonly kernel: string; readonly calls: number; readonly ms: number };

/** Dispatches whose stamps are read together. */
const PASSES = 1024;

type Batch = { readonly names: readonly string[]; readonly read: GPUBuffer };

/** Milliseconds on the device by kernel while `work` runs, most first; null where the device keeps no time. */
export async function profiled(gpu: Gpu, work: () => Promise<void>): Promise<KernelTime[] | null> {
  const { device } = gpu;
  if (!device.features.has('timestamp-query')) return null;
  const batches: Batch[] = [];
  const plain = gpu.run.bind(gpu);
  gpu.run = (steps, rows, { before = [], after = [] } = {}) => {
    plain([], rows, { before });
    for (let first = 0; first < steps.length; first += PASSES)
      batches.push(stamped(device, steps.slice(first, first + PASSES), rows));
    plain([], rows, { after });
  };
  try {
    await work();
  } finally {
    gpu.run = plain;
  }
  return addUp(await Promise.all(batches.map(spans)));
}

function stamped(device: GPUDevice, steps: Parameters<Gpu['run']>[0], rows: number): Batch {
  const size = 16 * steps.length;
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * steps.length });
  const resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const read = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  for (const [i, { kernel, pipeline, group, loads = [] }] of steps.entries()) {
    for (const load of loads) encodeTexelLoad(encoder, load);
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
    const pass = encoder.beginComputePass({ timestampWrites });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...kernel.grid(rows));
    pass.end();
  }
  encoder.resolveQuerySet(querySet, 0, 2 * steps.length, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  return { names: steps.map(({ kernel }) => kernel.name), read };
}

async function spans({ names, read }: Batch): Promise<{ kernel: string; ms: number }[]> {
  await read.mapAsync(GPUMapMode.READ);
  const stamps = new BigUint64Array(read.getMappedRange()); // nanoseconds
  const times = names.map((kernel, i) => ({ kernel, ms: Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6 }));
  read.destroy();
  return times;
}

function addUp(all: readonly (readonly { kernel: string; ms: number }[])[]): KernelTime[] {
  const sums = new Map<string, { calls: number; ms: number }>();
  for (const { kernel, ms } of all.flat()) {
    const sum = sums.get(kernel) ?? { calls: 0, ms: 0 };
    sums.set(kernel, { calls: sum.calls + 1, ms: sum.ms + ms });
  }
  return [...sums].map(([kernel, sum]) => ({ kernel, ...sum })).sort((a, b) => b.ms - a.ms);
}

const LISTED = 8;

/** The kernels that take most, and how much of `ms`, the same work by the clock, all of ours take together. */
export function sayProfile({ say }: Bench, times: readonly KernelTime[] | null, ms: number): void {
  if (times === null) return say('  this device keeps no time, so there is no profile');
  const all = times.reduce((sum, time) => sum + time.ms, 0);
  say(`  on the device ${rounded(all)} ms in kernels of ours, ${rounded(ms)} ms by the clock`);
  for (const { kernel, calls, ms: own } of times.slice(0, LISTED))
    say(`  ${((100 * own) / all).toFixed(0).padStart(3)} %  ${kernel.padEnd(32)} ${calls} calls, ${rounded(own)} ms`);
}
