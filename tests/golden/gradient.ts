/** Reads a flat gradient back, segment by segment, wherever it is kept. */
import type { FlatGradient } from '../../engine/learn/gradients.ts';
import type { Segment } from '../../engine/model/policy.ts';

export async function gradientOf(sum: FlatGradient): Promise<(segment: Segment) => Float32Array> {
  const flat = sum.host ?? ((await sum.device?.data()) as Float32Array | undefined) ?? new Float32Array(sum.size);
  return ({ offset, size }) => flat.subarray(offset, offset + size);
}
