/**
 * Stretches of keys and values kept on the GPU beside the caches they were computed in: copied out of a slot and into one, of
 * all layers and heads, in whatever precision the cache has.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import type { Shelf } from '../model/prefix-store.ts';
import type { Copy, Gpu } from './gpu.ts';

/** Keys and values of a stretch of positions. // [layers, 2, kvHeads, positions, headDim] */
export type Stretch = { readonly tensor: tf.Tensor; readonly positions: number };

/** Where a cache keeps the keys and values of one of its slots. */
export type SlotPlace = {
  readonly layers: readonly { readonly k: GPUBuffer; readonly v: GPUBuffer }[]; // [slots, kvHeads, capacity, headDim]
  readonly slot: number;
  readonly capacity: number;
  /** Of one number. */
  readonly bytes: 2 | 4;
};

export function gpuShelf(gpu: Gpu, config: ModelConfig): Shelf<SlotPlace, Stretch> {
  const { layers, kvHeads, headDim } = config;
  const bytesOf = ({ bytes }: SlotPlace, positions: number): number =>
    layers * 2 * kvHeads * positions * headDim * bytes;
  return {
    bytesOf: (place, positions) => {
      const bytes = bytesOf(place, positions);
      return bytes > gpu.device.limits.maxBufferSize ? Infinity : bytes;
    },
    keep: (place, first, positions) => {
      const kept = { tensor: tf.keep(gpu.allocate([bytesOf(place, positions) / 4])), positions };
      gpu.run([], 0, { after: copies(gpu, config, kept, place, 0, first, positions, 'keep') });
      return kept;
    },
    take: (kept, within, place, first, positions) =>
      gpu.run([], 0, { before: copies(gpu, config, kept, place, within, first, positions, 'take') }),
    drop: ({ tensor }) => tensor.dispose(),
  };
}

/** Of all layers and heads: `count` positions between a stretch, from `within` on, and a slot, from `first` on. */
function copies(
  gpu: Gpu,
  { kvHeads, headDim }: ModelConfig,
  { tensor, positions }: Stretch,
  { layers, slot, capacity, bytes }: SlotPlace,
  within: number,
  first: number,
  count: number,
  way: 'take' | 'keep',
): Copy[] {
  const stretch = gpu.bufferOf(tensor);
  const position = headDim * bytes;
  return layers.flatMap(({ k, v }, layer) =>
    [k, v].flatMap((cached, part) =>
      Array.from({ length: kvHeads }, (_, head): Copy => {
        const own = { buffer: stretch, at: (((layer * 2 + part) * kvHeads + head) * positions + within) * position };
        const seat = { buffer: cached, at: ((slot * kvHeads + head) * capacity + first) * position };
        const [source, target] = way === 'take' ? [own, seat] : [seat, own];
        const [from, fromAt, to, toAt] = [source.buffer, source.at, target.buffer, target.at];
        return { from, fromAt, to, toAt, bytes: count * position };
      }),
    ),
  );
}
