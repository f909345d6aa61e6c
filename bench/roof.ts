/** The device's own limits, measured once a call of the bench, beside which every kernel and model stands. */
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { copyRate, fmaRate } from '../engine/webgpu/measure.ts';
import { rounded, type Bench } from './suite.ts';

/** GB/s of copying, reads and writes both counted; GFLOP/s of f32 multiply-adds. */
export type Roof = { readonly copyGBs: number; readonly fmaGflops: number };

let known: Roof | null = null;

export async function roofOf({ say }: Bench): Promise<Roof> {
  if (known) return known;
  const gpu = activeGpu();
  known = { copyGBs: rounded(await copyRate(gpu)), fmaGflops: rounded(await fmaRate(gpu)) };
  say(`roof: copies ${known.copyGBs} GB/s, multiply-adds ${known.fmaGflops} GFLOP/s`);
  return known;
}
