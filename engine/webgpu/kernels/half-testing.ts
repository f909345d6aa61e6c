/** For tests of kernels that read or write half floats: arrays as such a kernel's binding takes them, and what they stand for. */
import { floatToHalf, halfTable } from '../../formats/half.ts';
import { someNumbers } from '../testing.ts';

const HALVES = halfTable();

export type Bound = {
  /** Half floats are two to a number, whose own value means nothing. */
  readonly bound: Float32Array;
  readonly values: Float32Array;
};

export function stored(precision: 'f32' | 'f16', values: Float32Array): Bound {
  if (precision === 'f32') return { bound: values, values };
  const halves = Uint16Array.from(values, floatToHalf);
  return { bound: new Float32Array(halves.buffer), values: Float32Array.from(halves, (half) => HALVES[half]) };
}

export const someStored = (precision: 'f32' | 'f16', size: number, seed: number, scale = 1): Bound =>
  stored(precision, someNumbers(size, seed, scale));

/** What a kernel wrote into such a buffer. */
export function read(precision: 'f32' | 'f16', written: Float32Array): Float32Array {
  if (precision === 'f32') return written;
  return Float32Array.from(new Uint16Array(written.buffer), (half) => HALVES[half]);
}
