/**
 * What a WebGPU adapter says about itself: a name for people, and whether it is a GPU at all. Browsers and Vulkan loaders
 * hand out CPU emulations (SwiftShader, Mesa's llvmpipe and lavapipe, Microsoft's WARP) without being asked; they are
 * slower than WebAssembly and count as "CPU".
 */
import { UserError } from '../errors.ts';
import { gpuHost } from './hosts.ts';

export type AdapterReport = {
  readonly adapter: GPUAdapter;
  readonly name: string;
  readonly software: boolean;
};

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|microsoft basic render|\bwarp\b|software/i;

/** Names a software adapter by any of its four strings or by its own flag. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  if (info.isFallbackAdapter) return true;
  return SOFTWARE.test([info.vendor, info.architecture, info.device, info.description].join(' '));
}

/** "NVIDIA H200 (nvidia, hopper)": the description where there is one, with vendor and architecture. */
export function adapterName(info: GPUAdapterInfo): string {
  const family = [info.vendor, info.architecture].filter((s) => s).join(', ');
  const own = info.description || info.device;
  if (own && family) return `${own} (${family})`;
  return own || family || 'unnamed adapter';
}

/** The best adapter here, or the sentence that says why there is none. */
export async function findAdapter(): Promise<AdapterReport | string> {
  const gpu = await gpuHost().gpu();
  if (typeof gpu === 'string') return gpu;
  let adapter: GPUAdapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  } catch (error) {
    return `WebGPU failed to list adapters: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (!adapter) return 'WebGPU is here, but no adapter: no graphics driver it can use is installed';
  return { adapter, name: adapterName(adapter.info), software: isSoftware(adapter.info) };
}

/** As `findAdapter`, for someone who asked for it. */
export async function requireAdapter(): Promise<AdapterReport> {
  const found = await findAdapter();
  if (typeof found === 'string') throw new UserError(`no WebGPU device: ${found}; choose device wasm or auto`);
  return found;
}
