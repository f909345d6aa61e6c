/** Matrix units: which of a device's offers are usable, and that products which compute wrongly or do not compile are found out. */
import '../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { activeGpu } from './gpu.ts';
import { faultOf, usableUnits } from './matrix-check.ts';
import { playedWords } from './matrix-testing.ts';
import type { MatrixUnit } from './matrix-unit.ts';
import { GPU_CUT, vectorCut } from './sized-kernel.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;
const lanes =
  typeof adapter === 'string'
    ? 0
    : (vectorCut({ features: adapter.adapter.features, adapterInfo: adapter.adapter.info })?.handRound ?? 0);

const EXTENSION = 'chromium-experimental-subgroup-matrix';

function offering(
  configs: readonly { componentType: string; resultType: string; M: number; N: number; K: number }[],
  features: readonly string[],
): Pick<GPUDevice, 'features' | 'limits' | 'adapterInfo'> {
  const limits = {
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupStorageSize: 16384,
  };
  return {
    features: new Set(features),
    limits,
    adapterInfo: { subgroupMinSize: 32, subgroupMaxSize: 32, subgroupMatrixConfigs: configs },
  } as unknown as Pick<GPUDevice, 'features' | 'limits' | 'adapterInfo'>;
}

const size = (M: number, N: number, K: number) => ({ M, N, K });
const OFFERS = [
  { componentType: 'f16', resultType: 'f16', ...size(16, 16, 16) },
  { componentType: 'f16', resultType: 'f32', ...size(16, 8, 8) },
  { componentType: 'f16', resultType: 'f32', ...size(16, 16, 16) },
  { componentType: 'i8', resultType: 'i32', ...size(16, 16, 32) },
  { componentType: 'f32', resultType: 'f32', ...size(8, 8, 8) },
  { componentType: 'f32', resultType: 'f32', ...size(24, 8, 8) },
];
const named = (units: readonly MatrixUnit[]): string[] =>
  units
    .filter(({ layout }) => layout === 'named')
    .map(({ m, n, k, half }) => `${half ? 'half' : 'f32'} ${m} ${n} ${k}`);

describe('usable matrix units', () => {
  it('sum in f32, divide the tiles, and those of f32 come first', () => {
    const all = usableUnits(offering(OFFERS, [EXTENSION, 'subgroups', 'shader-f16']));
    expect(named(all)).toEqual(['f32 8 8 8', 'half 16 16 16', 'half 16 8 8']);
    expect(all.length).toBe(6); // in either wording
  });

  it('are none without the extension, and of halves none without halves', () => {
    expect(usableUnits(offering(OFFERS, ['subgroups', 'shader-f16']))).toEqual([]);
    expect(named(usableUnits(offering(OFFERS, [EXTENSION, 'subgroups'])))).toEqual(['f32 8 8 8']);
  });
});

describe.skipIf(absent)(`products on matrix units ${absent ?? ''}`, { timeout: 300_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  describe.skipIf(lanes === 0)(`played ${lanes === 0 ? 'skipped: no subgroups of one size' : ''}`, () => {
    const unit: MatrixUnit = { m: 8, n: 32, k: 16, half: false, subgroup: lanes, layout: 'named' };
    const cut = { ...GPU_CUT, matrix: unit };
    const played = playedWords(unit, lanes);

    it('are taken where they agree with the plain ones', async () => {
      expect(await faultOf(activeGpu(), cut, played)).toBe(null);
    });

    it('are left where they compute wrongly', async () => {
      const forgetful = { ...played, addProduct: () => '' };
      expect(await faultOf(activeGpu(), cut, forgetful)).toMatch(/are off by 1\.0 of the largest number/);
    });

    it('are left where they do not compile', async () => {
      expect(await faultOf(activeGpu(), cut, { ...played, enables: ['no_such_extension'] })).toMatch(/do not run/);
    });
  });
});
