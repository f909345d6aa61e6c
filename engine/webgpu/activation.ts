/**
 * How what flows between the kernels of a step lies in memory: as it is, or as half floats where the device has them. Kernels
 * compute in float32 either way, and the residual stream between layers always stays so. What half floats cannot hold is held
 * at their largest, since a number beyond it is no number at all.
 */
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
