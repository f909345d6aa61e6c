/**
 * How exactly a policy computes: what may be chosen of weights, keys and what flows between kernels, what of it this device
 * can do, and why not the rest.
 */
import type { DeviceInfo } from '../../engine/protocol.ts';
import { activationsSchema, keysSchema, weightsSchema, type PolicyChoice } from '../../workflows/schema/cast.ts';
import { words } from '../words.ts';

export type PrecisionPart = 'weights' | 'keys' | 'activations';
/** What is not chosen is the default's. */
export type Precisions = Pick<PolicyChoice, PrecisionPart>;
type Precision = NonNullable<PolicyChoice['weights']>;

export const precisionChoices: Readonly<Record<PrecisionPart, readonly Precision[]>> = {
  weights: weightsSchema.options,
  keys: keysSchema.options,
  activations: activationsSchema.options,
};
export const precisionParts = Object.keys(precisionChoices) as readonly PrecisionPart[];

type Here = Pick<DeviceInfo, 'kind' | 'name' | 'features'> | null;

/** Whether this device can; nobody knows before there is one. */
export function offersPrecision(device: Here, part: PrecisionPart, choice: Precision): boolean {
  if (choice === 'f32' || !device) return true;
  if (part === 'activations') return device.kind === 'webgpu' && device.features.includes('shader-f16');
  return device.kind === 'webgpu' || (device.kind === 'wasm' && part === 'weights' && choice !== 'f16');
}

/** Why not every choice is offered; null where each is. */
export function precisionReason(device: Here, part: PrecisionPart): string | null {
  if (!device || precisionChoices[part].every((choice) => offersPrecision(device, part, choice))) return null;
  const { only, noHalves } = words.cast.precision;
  return device.kind === 'webgpu' ? noHalves(device.name) : only[part](device.name);
}

/** The choices that this device can do, the rest undone. */
export function possiblePrecisions(device: Here, chosen: Precisions): Precisions {
  const kept = precisionParts.filter((part) => chosen[part] && offersPrecision(device, part, chosen[part]));
  return Object.fromEntries(kept.map((part) => [part, chosen[part]]));
}

/** A choice or, with an empty text, none. */
export function withPrecision(chosen: Precisions, part: PrecisionPart, text: string): Precisions {
  const choice = precisionChoices[part].find((one) => one === text);
  return { ...chosen, [part]: choice };
}

/** In a few words: "exact", or what is not. */
export function precisionSummary(chosen: Precisions): string {
  const { exact, short, bits } = words.cast.precision;
  const less = precisionParts.flatMap((part) => {
    const choice = chosen[part];
    return choice === undefined || choice === 'f32' ? [] : [`${short[part]} ${bits[choice]}`];
  });
  return less.length === 0 ? exact : less.join(', ');
}
