/** What a device offers to sample with, why not more, and what a choice is called. */
import { describe, expect, it } from 'vitest';
import { offersPrecision, possiblePrecisions, precisionChoices, precisionParts, precisionReason, precisionSummary, withPrecision } from './precision.ts'; // prettier-ignore

const gpu = { kind: 'webgpu', name: 'a GPU', features: ['shader-f16'] } as const;
const plain = { ...gpu, features: ['subgroups'] } as const;
const wasm = { kind: 'wasm', name: 'WebAssembly', features: [] } as const;
const cpu = { kind: 'cpu', name: 'JavaScript', features: [] } as const;

describe('precision', () => {
  it('offers what a device can do', () => {
    const offered = (device: Parameters<typeof offersPrecision>[0]): string[] =>
      precisionParts.map((part) =>
        precisionChoices[part].filter((one) => offersPrecision(device, part, one)).join(' '),
      );
    expect(offered(gpu)).toEqual(['f32 f16 q8 q4', 'f32 f16', 'f32 f16']);
    expect(offered(plain)).toEqual(['f32 f16 q8 q4', 'f32 f16', 'f32']);
    expect(offered(wasm)).toEqual(['f32 q8 q4', 'f32', 'f32']);
    expect(offered(cpu)).toEqual(['f32', 'f32', 'f32']);
    expect(offered(null)).toEqual(offered(gpu));
  });

  it('says why it offers no more', () => {
    for (const part of precisionParts) expect(precisionReason(gpu, part)).toBeNull();
    expect(precisionReason(plain, 'keys')).toBeNull();
    expect(precisionReason(plain, 'activations')).toContain('shader-f16');
    for (const part of precisionParts) expect(precisionReason(cpu, part)).toContain('JavaScript');
  });

  it('takes a choice and lets go of it, and of what a device cannot do', () => {
    const chosen = withPrecision(withPrecision({}, 'weights', 'q8'), 'keys', 'f16');
    expect(chosen).toEqual({ weights: 'q8', keys: 'f16' });
    expect(withPrecision(chosen, 'keys', '').keys).toBeUndefined();
    expect(withPrecision(chosen, 'keys', 'q8').keys).toBeUndefined();
    expect(possiblePrecisions(wasm, chosen)).toEqual({ weights: 'q8' });
    expect(precisionSummary(chosen)).toBe('weights 8 bits, keys 16 bits');
    expect(precisionSummary({ keys: 'f32' })).toBe('exact');
  });
});
