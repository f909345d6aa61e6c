/**
 * Chooses and opens a device. 'auto' takes a hardware WebGPU adapter where there is one, else the CPU path that a
 * measurement of about a second finds fastest; the caller remembers the outcome and hands it in next time.
 */
import { UserError } from '../errors.ts';
import type { DeviceChoice, DeviceKind, DeviceReport } from '../protocol.ts';
import { type AdapterReport, findAdapter } from './adapter.ts';
import { openCpu } from './cpu.ts';
import type { Device } from './device.ts';
import { measureRates, type Rates } from './measure.ts';
import { openWasm, wasmFeatures, wasmName } from './wasm.ts';
import { activeGpu } from '../webgpu/gpu.ts';
import { decideMatrixUnit } from '../webgpu/matrix-check.ts';
import { openWebGpu } from './webgpu.ts';

export type { Device } from './device.ts';

const CHOICES: readonly string[] = ['auto', 'webgpu', 'wasm', 'cpu'];

export async function openDevice(choice: DeviceChoice, remembered?: DeviceKind): Promise<Device> {
  switch (choice) {
    case 'webgpu':
      return openGpu('chosen by you');
    case 'wasm':
      return openWasm('chosen by you');
    case 'cpu':
      return openCpu('chosen by you');
    case 'auto':
      return openBest(remembered);
    default:
      throw new UserError(`unknown device "${String(choice satisfies never)}"; choose one of ${CHOICES.join(', ')}`);
  }
}

/** What each device here is; with `measure`, also how fast it multiplies. Leaves no device open. */
export async function probeDevices(measure: boolean): Promise<DeviceReport[]> {
  const found = await findAdapter();
  return [await reportWebGpu(found, measure), await reportWasm(measure), await reportCpu(measure)];
}

async function openBest(remembered?: DeviceKind): Promise<Device> {
  const found = await findAdapter();
  if (typeof found !== 'string' && !found.software) return openGpu('a hardware GPU is present', found);
  const why = typeof found === 'string' ? found : `the only WebGPU adapter is emulated on the CPU (${found.name})`;
  const emulated = typeof found === 'string' ? null : found;
  if (remembered === 'wasm') return openWasm(`${why}; WebAssembly was measured fastest before`);
  if (remembered === 'cpu') return openCpu(`${why}; plain JavaScript was measured fastest before`);
  if (remembered === 'webgpu' && emulated) return openGpu(`${why}, which was measured fastest before`, emulated);
  return openFastest(why, emulated);
}

/** Its kernels are chosen before anything runs on it. */
async function openGpu(reason: string, found?: AdapterReport): Promise<Device> {
  const device = await openWebGpu(reason, found);
  await decideMatrixUnit(activeGpu());
  return device;
}

async function openFastest(why: string, emulated: AdapterReport | null): Promise<Device> {
  const reports = [await reportWasm(true), ...(emulated ? [await reportWebGpu(emulated, true)] : [])];
  const measured = reports.filter((r) => r.gflops !== null).sort((a, b) => b.gflops! - a.gflops!);
  const rates = measured.map((r) => `${r.kind} ${r.gflops!.toFixed(1)}`).join(', ');
  const reason = `${why}; fastest measured (GFLOP/s: ${rates})`;
  switch (measured[0]?.kind) {
    case 'webgpu':
      return openGpu(reason, emulated!);
    case 'wasm':
      return openWasm(reason);
    default:
      return openCpu(`${why}, and WebAssembly does not start here (${reports[0]!.note})`);
  }
}

/** Opens, measures and closes; for a device that fails to open its sentence, not thrown. */
async function tryDevice(open: () => Promise<Device>): Promise<Rates | string> {
  try {
    const device = await open();
    try {
      return await measureRates();
    } finally {
      await device.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

type Described = Pick<DeviceReport, 'kind' | 'name' | 'software' | 'features' | 'maxBufferBytes'>;

async function report(described: Described, open: () => Promise<Device>, measure: boolean): Promise<DeviceReport> {
  const unmeasured = { gflops: null, gigabytesPerSecond: null };
  if (!measure) return { ...described, ...unmeasured, available: true, note: 'present, not measured' };
  const rates = await tryDevice(open);
  if (typeof rates === 'string')
    return { ...described, ...unmeasured, available: false, note: `does not open: ${rates}` };
  const { matrices, ...measured } = rates;
  const note = `multiplies matrices at ${rates.gflops.toFixed(1)} GFLOP/s and copies ${rates.gigabytesPerSecond.toFixed(1)} GB/s`;
  return { ...described, ...measured, available: true, note: matrices === null ? note : `${note}; ${matrices}` };
}

async function reportWebGpu(found: AdapterReport | string, measure: boolean): Promise<DeviceReport> {
  if (typeof found === 'string') {
    return {
      kind: 'webgpu',
      available: false,
      name: 'none',
      software: false,
      features: [],
      maxBufferBytes: null,
      gflops: null,
      gigabytesPerSecond: null,
      note: found,
    };
  }
  const described: Described = {
    kind: 'webgpu',
    name: found.name,
    software: found.software,
    features: [...found.adapter.features].sort(),
    maxBufferBytes: found.adapter.limits.maxStorageBufferBindingSize,
  };
  // An adapter gives out one device; the measurement takes a fresh adapter.
  return report(described, () => openGpu('to measure it'), measure);
}

async function reportWasm(measure: boolean): Promise<DeviceReport> {
  const { relaxed, shared, cores } = wasmFeatures();
  const features = ['simd', ...(relaxed ? ['relaxed-simd'] : []), ...(shared ? ['shared-memory'] : [])];
  const described: Described = {
    kind: 'wasm',
    name: wasmName(shared ? cores : 1),
    software: false,
    features,
    maxBufferBytes: 2 ** 32 - 2 ** 16,
  };
  return report(described, () => openWasm('to measure it'), measure);
}

async function reportCpu(measure: boolean): Promise<DeviceReport> {
  const described: Described = {
    kind: 'cpu',
    name: 'JavaScript, 1 thread',
    software: false,
    features: [],
    maxBufferBytes: null,
  };
  return report(described, () => openCpu('to measure it'), measure);
}
