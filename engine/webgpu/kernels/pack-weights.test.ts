/** Packing on the device against plain loops, and against what the blocks of a GGUF file hold. */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { BLOCKS, dequantise } from '../../formats/ggml-blocks.ts';
import { floatToHalf } from '../../formats/half.ts';
import { largestDifference, someNumbers } from '../testing.ts';
import { packed } from './packed-testing.ts';
import { roundedReference, unpackedReference } from './pack-weights.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

/** Blocks of any bytes with scales a model might have. */
function someBlocks(type: 'Q4_0' | 'Q4_1' | 'Q8_0', count: number): Uint8Array {
  const { bytes } = BLOCKS[type];
  const out = Uint8Array.from({ length: count * bytes }, (_, i) => (i * 167 + (i >> 3) * 29) & 255);
  const view = new DataView(out.buffer);
  for (let block = 0; block < count; block++) {
    const at = block * bytes;
    view.setUint16(at, floatToHalf((block % 2 ? 1 : -1) ** (type === 'Q4_0' ? 1 : 2) * (0.003 + block / 900)), true);
    if (type === 'Q4_1') view.setUint16(at + 2, floatToHalf(-0.01 - block / 300), true);
    // As an encoder leaves them: the extreme values are there.
    if (type === 'Q4_0') out[at + 5] = out[at + 5] & 0xf0;
    if (type === 'Q4_1') [out[at + 7], out[at + 8]] = [0xf0, out[at + 8]];
    if (type === 'Q8_0') out[at + 9] = 127;
    if (type === 'Q8_0') for (let i = 2; i < bytes; i++) if (out[at + i] === 128) out[at + i] = 0;
  }
  return out;
}

describe.skipIf(absent)(`packing weights ${absent ?? ''}`, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each([
    ['f16', 12],
    ['f16', 100],
    ['q8', 4],
    ['q8', 132],
    ['q4', 28],
    ['q4', 100],
    ['q4', 64],
  ] as const)('%s, %i columns', async (precision, columns) => {
    const matrices = [someNumbers(5 * columns, 1), someNumbers(3 * columns, 2, 0.02)];
    const words = await packed(precision, matrices, columns);
    const got = unpackedReference(precision, words, 8, columns);
    const w = Float32Array.of(...matrices.flatMap((own) => [...own]));
    const wanted = roundedReference(precision, w, columns);
    // A number that lies between two integers may go to either.
    const different = wanted.filter((value, i) => Math.abs(value - got[i]) > 1e-6).length;
    expect(different).toBeLessThanOrEqual(Math.ceil(w.length / 100));
    const allowed = { f16: 1e-3, q8: 0.9 / 127, q4: 1.1 / 15 }[precision];
    expect(largestDifference(got, w)).toBeLessThan(allowed);
  });

  it('keeps zeros', async () => {
    for (const precision of ['f16', 'q8', 'q4'] as const) {
      const words = await packed(precision, [new Float32Array(80)], 40);
      expect([...unpackedReference(precision, words, 2, 40)].every((value) => value === 0)).toBe(true);
    }
  });

  it.each([
    ['Q4_0', 'q4'],
    ['Q4_1', 'q4'],
    ['Q8_0', 'q8'],
  ] as const)('gives the blocks of %s again', async (type, precision) => {
    const count = 24;
    const w = new Float32Array(count * 32);
    dequantise(type, someBlocks(type, count), w);
    const columns = 96;
    const words = await packed(precision, [w], columns);
    const got = unpackedReference(precision, words, w.length / columns, columns);
    expect(largestDifference(got, w)).toBeLessThan(1e-7);
  });
});
