/** What a device offers, in the words people compare devices by. */
import type { DeviceReport } from '../engine/protocol.ts';

/** WebGPU's names of what makes models faster, and what people call it. Others of an adapter's features do nothing for models. */
const WEBGPU_FEATURES = {
  'shader-f16': 'half floats',
  subgroups: 'subgroups',
  'chromium-experimental-subgroup-matrix': 'matrix units',
} as const;

/** On WebGPU what is there and what is not; on the CPU what is there. */
export function deviceFacts({ kind, features }: Pick<DeviceReport, 'kind' | 'features'>): string[] {
  if (kind !== 'webgpu') return [...features];
  return Object.entries(WEBGPU_FEATURES).map(([name, said]) => (features.includes(name) ? said : `no ${said}`));
}
