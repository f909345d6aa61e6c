/** For tests of kernels that read or write keys: random ones as a cache holds them, and what those stand for. */
import { floatToHalf, halfTable } from '../../formats/half.ts';
import type { KeyPrecision } from '../../protocol.ts';
import { someNumbers } from '../testing.ts';

const HALVES = halfTable();

/** `bound`: as the kernel's binding takes it; pairs of half floats are two to a number, whose own value means nothing. */
export function someKeys(
  precision: KeyPrecision,
  size: number,
  seed: number,
): { readonly bound: Float32Array; readonly values: Float32Array } {
  const values = someNumbers(size, seed);
  if (precision === 'f32') return { bound: values, values };
  const halves = Uint16Array.from(values, floatToHalf);
  return { bound: new Float32Array(halves.buffer), values: Float32Array.from(halves, (half) => HALVES[half]) };
}

/** What a kernel wrote into such a buffer. */
export function unpackedKeys(precision: KeyPrecision, written: Float32Array): Float32Array {
  if (precision === 'f32') return written;
  return Float32Array.from(new Uint16Array(written.buffer), (half) => HALVES[half]);
}
