/**
 * The optimiser's memory: AdamW's first and second moments of one policy's flat variable. It owns their making, reading,
 * restoring and disposal, and nothing of the step itself. Arrays are [size] float32.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../errors.ts';
import type { Moments } from '../model/policy.ts';
import { computesOnHost } from './host.ts';

export type SavedMoments = { readonly m: Float32Array; readonly v: Float32Array; readonly steps: Moments['steps'] };

/** Zero moments for `size` parameters. */
export function newMoments(size: number): Moments {
  return restoreMoments({ m: new Float32Array(size), v: new Float32Array(size), steps: { trunk: 0, value: 0 } }, size);
}

/** The moments' numbers for a checkpoint; on the CPU they are the moments themselves, to be written before the next update. */
export async function readMoments(moments: Moments): Promise<SavedMoments> {
  const read = async (x: Float32Array | tf.Tensor1D) =>
    x instanceof Float32Array ? x : ((await x.data()) as Float32Array);
  return { m: await read(moments.m), v: await read(moments.v), steps: { ...moments.steps } };
}

/** Moments from a checkpoint; the arrays become the state's own. Throws a UserError where they do not fit the policy. */
export function restoreMoments(saved: SavedMoments, size: number): Moments {
  const { trunk, value } = saved.steps;
  if (!saved.m.every(Number.isFinite) || !saved.v.every((x) => Number.isFinite(x) && x >= 0))
    throw new UserError(
      "The checkpoint's optimiser state holds numbers that no training leaves behind (not finite, or a negative second moment): load another checkpoint.",
    );
  if (saved.m.length !== size || saved.v.length !== size)
    throw new UserError(
      `The checkpoint's optimiser state holds ${saved.m.length} and ${saved.v.length} numbers where the policy has ${size} parameters: load a checkpoint of the same model and method.`,
    );
  if (!(Number.isInteger(trunk) && trunk >= 0 && Number.isInteger(value) && value >= 0))
    throw new UserError(
      `The checkpoint's optimiser step counts are not whole numbers: ${trunk}, ${value}. Load another checkpoint.`,
    );
  const steps = { trunk, value };
  return computesOnHost()
    ? { m: saved.m, v: saved.v, steps }
    : { m: tf.tensor1d(saved.m), v: tf.tensor1d(saved.v), steps };
}

/** Frees what the moments hold on a device. */
export function disposeMoments(moments: Moments): void {
  for (const x of [moments.m, moments.v]) if (!(x instanceof Float32Array)) x.dispose();
}
