/**
 * How what flows between the kernels of a step lies in memory: as it is, or as half floats where the device has them. Kernels
 * compute in float32 either way, and the residual stream between layers always stays so. What half floats cannot hold is held
 * at their largest, since a number beyond it is no number at all.
 */
import type * as tf from '@tensorflow/tfjs';
import type { ActivationPrecision } from '../protocol.ts';
import type { Element } from './wgsl.ts';

export type Activation = {
  readonly bytes: 2 | 4;
  readonly one: Element;
  readonly two: Element;
  readonly four: Element;
};

const ACTIVATIONS: Readonly<Record<ActivationPrecision, Activation>> = {
  f32: { bytes: 4, one: 'f32', two: 'vec2f', four: 'vec4f' },
  f16: { bytes: 2, one: 'f16', two: 'vec2h', four: 'vec4h' },
};

export const activationOf = (precision: ActivationPrecision): Activation => ACTIVATIONS[precision];

export const FLOATS = ACTIVATIONS.f32;

/** Half floats lie two to a number in a tensor of int32, since tfjs has none; tensors of float32 hold what they say. */
export const elementOf = ({ dtype }: tf.Tensor): Activation => ACTIVATIONS[dtype === 'int32' ? 'f16' : 'f32'];

/** How many numbers such a tensor holds. */
export const numbersOf = (tensor: tf.Tensor): number => tensor.size * (4 / elementOf(tensor).bytes);

/** WGSL: `value`, an f32 or a vector of them, as a binding of this element takes it. */
export function stored(element: Element, value: string): string {
  switch (element) {
    case 'f16':
      return `f16(clamp(${value}, -65504f, 65504f))`;
    case 'vec2h':
      return `vec2h(clamp(${value}, vec2f(-65504f), vec2f(65504f)))`;
    case 'vec4h':
      return `vec4h(clamp(${value}, vec4f(-65504f), vec4f(65504f)))`;
    default:
      return value;
  }
}

/** A half that is no number, as no compiler knows: WGSL refuses to write one down. */
const NO_NUMBER = 'bitcast<vec2h>(0x7e007e00u | (dims[0] & 0u)).x';

/**
 * The same for a gradient, in a kernel with sizes: one that a half cannot hold becomes no number at all, and so does every
 * gradient made from it, which is how a step learns that its loss was scaled too far.
 */
export function storedGradient(element: Element, value: string): string {
  switch (element) {
    case 'f16':
      return `select(${NO_NUMBER}, f16(${value}), abs(${value}) <= 65504f)`;
    case 'vec4h':
      return `select(vec4h(${NO_NUMBER}), vec4h(${value}), abs(${value}) <= vec4f(65504f))`;
    default:
      return value;
  }
}
