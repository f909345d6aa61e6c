/**
 * That products on matrix units are WGSL: they compile under Dawn's null backend, which has the extension and no GPU. What
 * they compute is checked where the units are played (training-kernels.test.ts) and on every device that has them.
 */
import { globals, create } from 'webgpu';
import { beforeAll, describe, expect, it } from 'vitest';
import type { MatrixUnit } from '../matrix-unit.ts';
import { GPU_CUT } from '../sized-kernel.ts';
import { productKernel } from './product.ts';

const EXTENSION = 'chromium-experimental-subgroup-matrix';
const UNITS = [
  { m: 8, n: 8, k: 8, half: false },
  { m: 16, n: 16, k: 16, half: true },
  { m: 8, n: 16, k: 16, half: true },
];

describe('products on matrix units', () => {
  let device: GPUDevice;
  let subgroup: number;
  // Dawn's objects do not keep one another.
  let owners: readonly unknown[];

  beforeAll(async () => {
    Object.assign(globalThis, globals);
    const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const adapter = (await gpu.requestAdapter())!;
    subgroup = adapter.info.subgroupMaxSize;
    const requiredFeatures = [EXTENSION, 'subgroups', 'shader-f16'] as unknown as GPUFeatureName[];
    device = await adapter.requestDevice({ requiredFeatures });
    owners = [gpu, adapter];
  });

  async function faultOf(source: string): Promise<string | null> {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code: source });
    device.createComputePipeline({ layout: 'auto', compute: { module } });
    return (await device.popErrorScope())?.message ?? null;
  }

  it.each(['named', 'argument'] as const)('compile for every size and orientation, the layout %s', async (layout) => {
    expect(owners.length).toBe(2);
    for (const shape of UNITS)
      for (const orientation of ['nn', 'nt', 'tn'] as const) {
        const unit: MatrixUnit = { ...shape, subgroup, layout };
        expect(await faultOf(productKernel(orientation, { ...GPU_CUT, matrix: unit }).source)).toBe(null);
      }
  });

  it('do not where a subgroup is larger than thought', async () => {
    const unit: MatrixUnit = { ...UNITS[0], subgroup: subgroup / 8, layout: 'named' };
    expect(await faultOf(productKernel('nt', { ...GPU_CUT, matrix: unit }).source)).toMatch(/multiple of the device/);
  });
});
