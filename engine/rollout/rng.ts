/**
 * Random numbers as a function of (seed, position, purpose) and nothing else: no state, so a draw never depends on what
 * else is in the batch or on how often somebody drew before. Philox-4x32 with 10 rounds; one call yields four 32-bit words.
 * Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3".
 */

/** What a draw is for; different purposes of one seed never share numbers. */
export const PURPOSE = { sample: 1, adapterInit: 2, shuffle: 3 } as const;
export type Purpose = (typeof PURPOSE)[keyof typeof PURPOSE];

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High 32 bits of the unsigned 64-bit product. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16); // < 2^32
  const other = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536)) >>> 0;
}

/** Four unsigned 32-bit words for a counter and a key of 32-bit words. */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter.map((word) => word >>> 0) as [number, number, number, number];
  let k0 = key[0] >>> 0;
  let k1 = key[1] >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
    const high1 = mulHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Uniform in [0, 1) with 53 random bits. */
export function uniform(seed: number, position: number, purpose: Purpose): number {
  const [a, b] = philox([position, 0, 0, 0], [seed, purpose]);
  return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
}

/** Uniform in [low, high), one number per index, for initial weights. `stream` separates tensors of one seed. */
export function uniformArray(
  size: number,
  low: number,
  high: number,
  seed: number,
  stream: number,
  purpose: Purpose,
): Float32Array {
  const out = new Float32Array(size);
  for (let i = 0; i < size; i += 4) {
    const words = philox([i, stream, 0, 0], [seed, purpose]);
    for (let j = 0; j < 4 && i + j < size; j++) out[i + j] = low + (high - low) * (words[j] / 4294967296);
  }
  return out;
}
