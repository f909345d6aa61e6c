/** Features in plain words. */
import { describe, expect, it } from 'vitest';
import { deviceFacts } from './device-facts.ts';

describe('what a device offers', () => {
  it('names what a GPU has and lacks, and leaves out what does nothing for models', () => {
    const features = ['shader-f16', 'subgroups', 'texture-compression-bc'];
    expect(deviceFacts({ kind: 'webgpu', features })).toEqual(['half floats', 'subgroups', 'no matrix units']);
  });

  it('names what the CPU has', () => {
    expect(deviceFacts({ kind: 'wasm', features: ['simd', 'relaxed-simd'] })).toEqual(['simd', 'relaxed-simd']);
  });
});
