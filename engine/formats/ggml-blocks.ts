/**
 * Dequantisation of GGML's block formats to float32, each straight from its definition: a block of 32 or 256 weights,
 * its half-precision scales, its packed integers. Products are taken in float64 of exact float32 factors and rounded
 * once. All bytes little-endian. Source: the block layouts of the ggml library (MIT).
 */
import { bfloatToFloat, halfTable, halfToFloat } from './half.ts';

export type GgmlType =
  'F32' | 'F16' | 'BF16' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q8_0' | 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K';

/** Types by their number in a GGUF file. */
export const GGML_TYPES: Readonly<Record<number, GgmlType>> = {
  ...{ 0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 6: 'Q5_0', 7: 'Q5_1', 8: 'Q8_0' },
  ...{ 10: 'Q2_K', 11: 'Q3_K', 12: 'Q4_K', 13: 'Q5_K', 14: 'Q6_K', 30: 'BF16' },
};

/** Weights in a block, and the bytes they take. */
export const BLOCKS: Readonly<Record<GgmlType, { readonly items: number; readonly bytes: number }>> = {
  F32: { items: 1, bytes: 4 },
  F16: { items: 1, bytes: 2 },
  BF16: { items: 1, bytes: 2 },
  Q4_0: { items: 32, bytes: 18 },
  Q4_1: { items: 32, bytes: 20 },
  Q5_0: { items: 32, bytes: 22 },
  Q5_1: { items: 32, bytes: 24 },
  Q8_0: { items: 32, bytes: 34 },
  Q2_K: { items: 256, bytes: 84 },
  Q3_K: { items: 256, bytes: 110 },
  Q4_K: { items: 256, bytes: 144 },
  Q5_K: { items: 256, bytes: 176 },
  Q6_K: { items: 256, bytes: 210 },
};

/** Fills `out` from whole blocks. bytes: [blocks * BLOCKS[type].bytes], out: [blocks * BLOCKS[type].items] */
export function dequantise(type: GgmlType, bytes: Uint8Array, out: Float32Array): void {
  if (type === 'F32') return out.set(new Float32Array(bytes.slice().buffer));
  if (type === 'F16') return halfToFloat(bytes, out);
  if (type === 'BF16') return bfloatToFloat(bytes, out);
  const block = BLOCK_READERS[type];
  const { items, bytes: size } = BLOCKS[type];
  for (let at = 0, first = 0; at < bytes.length; at += size, first += items) block(bytes, at, out, first);
}

/** Writes one block's weights to out[o ...] from the bytes at b[p ...]. */
type BlockReader = (b: Uint8Array, p: number, out: Float32Array, o: number) => void;

const f16 = halfTable();
const half = (b: Uint8Array, p: number) => f16[b[p] | (b[p + 1] << 8)];
const word = (b: Uint8Array, p: number) => b[p] | (b[p + 1] << 8) | (b[p + 2] << 16) | (b[p + 3] << 24);

/** d, 16 bytes: low nibbles are the first half, high nibbles the second. w = d (q - 8) */
const q4_0: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  for (let i = 0; i < 16; i++) {
    const q = b[p + 2 + i];
    out[o + i] = d * ((q & 15) - 8);
    out[o + 16 + i] = d * ((q >> 4) - 8);
  }
};

/** d, m, 16 bytes. w = d q + m */
const q4_1: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  const m = half(b, p + 2);
  for (let i = 0; i < 16; i++) {
    const q = b[p + 4 + i];
    out[o + i] = d * (q & 15) + m;
    out[o + 16 + i] = d * (q >> 4) + m;
  }
};

/** d, 32 fifth bits, 16 bytes. w = d (q - 16) */
const q5_0: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  const high = word(b, p + 2);
  for (let i = 0; i < 16; i++) {
    const q = b[p + 6 + i];
    out[o + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
    out[o + 16 + i] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
  }
};

/** d, m, 32 fifth bits, 16 bytes. w = d q + m */
const q5_1: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  const m = half(b, p + 2);
  const high = word(b, p + 4);
  for (let i = 0; i < 16; i++) {
    const q = b[p + 8 + i];
    out[o + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
    out[o + 16 + i] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
  }
};

/** d, 32 signed bytes. w = d q */
const q8_0: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  for (let i = 0; i < 32; i++) out[o + i] = d * ((b[p + 2 + i] << 24) >> 24);
};

/** 16 bytes of 4-bit (scale, min) pairs, 64 bytes of 2-bit weights, d, dmin. w = d s q - dmin m */
const q2_k: BlockReader = (b, p, out, o) => {
  const d = half(b, p + 80);
  const dmin = half(b, p + 82);
  for (let group = 0; group < 16; group++) {
    const scale = Math.fround(d * (b[p + group] & 15));
    const min = Math.fround(dmin * (b[p + group] >> 4));
    // Groups of 16: eight share 32 bytes, two halves of 16 for each pair of bits.
    const from = p + 16 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = ((group >> 1) & 3) * 2;
    for (let i = 0; i < 16; i++) out[o + group * 16 + i] = scale * ((b[from + i] >> shift) & 3) - min;
  }
};

/** 32 bytes of third bits, 64 bytes of 2-bit weights, 12 bytes of sixteen 6-bit scales, d. w = d (s - 32) (q - 4) */
const q3_k: BlockReader = (b, p, out, o) => {
  const d = half(b, p + 108);
  for (let group = 0; group < 16; group++) {
    const low = (b[p + 96 + (group & 7)] >> ((group >> 3) * 4)) & 15;
    const top = (b[p + 104 + (group & 3)] >> ((group >> 2) * 2)) & 3;
    const scale = Math.fround(d * ((low | (top << 4)) - 32));
    const from = p + 32 + (group >> 3) * 32 + (group & 1) * 16;
    const shift = ((group >> 1) & 3) * 2;
    const bit = group >> 1;
    for (let i = 0; i < 16; i++) {
      const kept = (b[p + (group & 1) * 16 + i] >> bit) & 1;
      out[o + group * 16 + i] = scale * (((b[from + i] >> shift) & 3) - (kept ? 0 : 4));
    }
  }
};

/** The 6-bit (scale, min) of group j out of 12 bytes that hold eight pairs. */
function scaleMin(b: Uint8Array, p: number, j: number): readonly [number, number] {
  if (j < 4) return [b[p + j] & 63, b[p + j + 4] & 63];
  return [(b[p + j + 4] & 15) | ((b[p + j - 4] >> 6) << 4), (b[p + j + 4] >> 4) | ((b[p + j] >> 6) << 4)];
}

/** d, dmin, 12 bytes of scales, 128 bytes of nibbles. w = d s q - dmin m */
const q4_k: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  const dmin = half(b, p + 2);
  for (let group = 0; group < 8; group++) {
    const [s, m] = scaleMin(b, p + 4, group);
    const scale = Math.fround(d * s);
    const min = Math.fround(dmin * m);
    const from = p + 16 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++) out[o + group * 32 + i] = scale * ((b[from + i] >> shift) & 15) - min;
  }
};

/** d, dmin, 12 bytes of scales, 32 bytes of fifth bits, 128 bytes of nibbles. w = d s q - dmin m */
const q5_k: BlockReader = (b, p, out, o) => {
  const d = half(b, p);
  const dmin = half(b, p + 2);
  for (let group = 0; group < 8; group++) {
    const [s, m] = scaleMin(b, p + 4, group);
    const scale = Math.fround(d * s);
    const min = Math.fround(dmin * m);
    const from = p + 48 + (group >> 1) * 32;
    const shift = (group & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const q = ((b[from + i] >> shift) & 15) | (((b[p + 16 + i] >> group) & 1) << 4);
      out[o + group * 32 + i] = scale * q - min;
    }
  }
};

/** 128 bytes of low nibbles, 64 bytes of upper pairs, 16 signed scales, d. w = d s (q - 32) */
const q6_k: BlockReader = (b, p, out, o) => {
  const d = half(b, p + 208);
  for (let group = 0; group < 16; group++) {
    const scale = Math.fround(d * ((b[p + 192 + group] << 24) >> 24));
    // 128 weights share 64 low and 32 upper bytes; within them four runs of 32.
    const part = group >> 3;
    const run = (group >> 1) & 3;
    const within = (group & 1) * 16;
    const low = p + part * 64 + (run & 1) * 32 + within;
    const upper = p + 128 + part * 32 + within;
    for (let i = 0; i < 16; i++) {
      const q = ((b[low + i] >> ((run >> 1) * 4)) & 15) | (((b[upper + i] >> (run * 2)) & 3) << 4);
      out[o + group * 16 + i] = scale * (q - 32);
    }
  }
};

const BLOCK_READERS: Readonly<Record<Exclude<GgmlType, 'F32' | 'F16' | 'BF16'>, BlockReader>> = {
  ...{ Q4_0: q4_0, Q4_1: q4_1, Q5_0: q5_0, Q5_1: q5_1, Q8_0: q8_0 },
  ...{ Q2_K: q2_k, Q3_K: q3_k, Q4_K: q4_k, Q5_K: q5_k, Q6_K: q6_k },
};
