/**
 * 16-bit floats. IEEE half (F16) and bfloat16 to and from float32, on whole arrays of little-endian bytes.
 */

/** Every half's value: 65,536 entries, made on first use, so that a conversion is one look-up. */
let halves: Float32Array | null = null;

/** The float32 value of each half-precision bit pattern. // [65536] */
export function halfTable(): Float32Array {
  if (halves !== null) return halves;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? NaN : sign * Infinity;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  halves = table;
  return table;
}

/** F16 bytes to float32. bytes: [2n], out: [n] */
export function halfToFloat(bytes: Uint8Array, out: Float32Array): void {
  const table = halfTable();
  for (let i = 0, at = 0; i < out.length; i++, at += 2) out[i] = table[bytes[at] | (bytes[at + 1] << 8)];
}

/** BF16 bytes to float32: the upper half of its bits. bytes: [2n], out: [n] */
export function bfloatToFloat(bytes: Uint8Array, out: Float32Array): void {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0, at = 0; i < out.length; i++, at += 2) bits[i] = (bytes[at] | (bytes[at + 1] << 8)) << 16;
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The nearest half, ties to even; beyond 65,504 infinity, NaN stays NaN. */
export function floatToHalf(value: number): number {
  scratch[0] = value;
  const bits = scratchBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 255) return sign | 0x7c00 | (fraction ? 0x200 : 0);
  const half = exponent - 127 + 15;
  if (half >= 31) return sign | 0x7c00;
  if (half >= 1) {
    // Rounding may carry into the exponent, which is then the right answer.
    return sign + ((half << 10) | (fraction >> 13)) + roundUp(fraction & 0x1fff, 0x1000, (fraction >> 13) & 1);
  }
  if (half < -10) return sign;
  const full = fraction | 0x800000;
  const shift = 14 - half;
  return sign + (full >>> shift) + roundUp(full & ((1 << shift) - 1), 1 << (shift - 1), (full >>> shift) & 1);
}

function roundUp(rest: number, middle: number, odd: number): number {
  return rest > middle || (rest === middle && odd === 1) ? 1 : 0;
}
