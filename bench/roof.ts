/**
 * The device's own limits, measured once a call of the bench, beside which every kernel and model stands, and the least time
 * that work on a model takes within them: what must be read, or multiplied, whichever is longer.
 */
import type { ModelConfig } from '../engine/formats/config.ts';
import type { WeightPrecision } from '../engine/protocol.ts';
import { preferredKeys } from '../engine/webgpu/fast-cache.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { keyFormatOf } from '../engine/webgpu/key-format.ts';
import { copyRate, fmaRate } from '../engine/webgpu/measure.ts';
import { packedBytes } from '../engine/webgpu/packed-weights.ts';
import { parametersOf } from './models.ts';
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

/** Of one token more for each of `batch` sequences that read `context` keys, sampled with weights of this precision. */
export function decodeRoof(
  config: ModelConfig,
  precision: WeightPrecision,
  { batch, context }: { readonly batch: number; readonly context: number },
  roof: Roof,
): number {
  const { layers, kvHeads, headDim } = config;
  const maxBinding = (): number => activeGpu().device.limits.maxStorageBufferBindingSize;
  const weights = precision === 'f32' ? 4 * multiplied(config) : packedBytes(config, precision, maxBinding());
  const { bytes } = keyFormatOf(preferredKeys({ rollout: precision }));
  const keys = 2 * bytes * layers * kvHeads * headDim * context;
  const flops = forwardFlops(config, { tokens: 1, heads: 1, keys: context });
  // Copying counts a byte twice, reading once.
  return Math.max((weights + batch * keys) / roof.copyGBs / 1e9, (batch * flops) / roof.fmaGflops / 1e9);
}

/** `heads`: tokens that pass the head, too; `keys`: that all tokens together read. */
export function forwardFlops(
  config: ModelConfig,
  { tokens, heads, keys }: { readonly tokens: number; readonly heads: number; readonly keys: number },
): number {
  const head = config.vocab * config.hidden;
  const attention = 4 * config.layers * config.heads * config.headDim * keys;
  return 2 * (multiplied(config) - head) * tokens + 2 * head * heads + attention;
}

/** Weights that a token is multiplied with: of an untied model's two tables only the head's. */
function multiplied(config: ModelConfig): number {
  return parametersOf(config) - (config.tied ? 0 : config.vocab * config.hidden);
}
