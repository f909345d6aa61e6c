/**
 * Stretches of keys and values kept on the GPU beside the caches they were computed in: copied out of a sequence's pages and
 * into another's, of all layers and heads, in whatever precision the cache has. They keep the shape of pages, from the page
 * of their first position on, so whoever goes on from a stretch overwrites what it has of its parent's last page.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import type { Shelf } from '../model/prefix-store.ts';
import type { Copy, Gpu } from './gpu.ts';
import { PAGE, pagesFor } from './page-pool.ts';

/** Keys and values of some pages. // [layers, 2, pages, kvHeads, PAGE, headDim] */
export type Stretch = { readonly tensor: tf.Tensor; readonly pages: number; readonly first: number };

/** Where a cache keeps the keys and values of one of its sequences. */
export type Place = {
  readonly layers: readonly { readonly k: GPUBuffer; readonly v: GPUBuffer }[]; // [pages, kvHeads, PAGE, headDim]
  /** In the order of its positions. */
  readonly pages: readonly number[];
  /** How many of them it shares with others, who fill them. */
  readonly shared: number;
  /** Of one number. */
  readonly bytes: 2 | 4;
};

const pageOf = (position: number): number => Math.floor(position / PAGE);

export function gpuShelf(gpu: Gpu, { layers, kvHeads, headDim }: ModelConfig): Shelf<Place, Stretch> {
  const pageBytes = ({ bytes }: Place): number => kvHeads * PAGE * headDim * bytes;
  const bytesOf = (place: Place, first: number, positions: number): number =>
    layers * 2 * (pagesFor(first + positions) - pageOf(first)) * pageBytes(place);

  /** Pages `first` … `end` of a sequence, between a stretch and its place. */
  function copies(kept: Stretch, place: Place, first: number, end: number, way: 'take' | 'keep'): Copy[] {
    const stretch = gpu.bufferOf(kept.tensor);
    const page = pageBytes(place);
    return runs(place.pages, first, end).flatMap(({ nth, count }) =>
      place.layers.flatMap(({ k, v }, layer) =>
        [k, v].map((cached, part): Copy => {
          const own = { buffer: stretch, at: ((layer * 2 + part) * kept.pages + nth - kept.first) * page };
          const seat = { buffer: cached, at: place.pages[nth] * page };
          const [source, target] = way === 'take' ? [own, seat] : [seat, own];
          const [from, fromAt, to, toAt] = [source.buffer, source.at, target.buffer, target.at];
          return { from, fromAt, to, toAt, bytes: count * page };
        }),
      ),
    );
  }

  return {
    bytesOf: (place, first, positions) => {
      const bytes = bytesOf(place, first, positions);
      return bytes > gpu.device.limits.maxBufferSize ? Infinity : bytes;
    },
    keep: (place, first, positions) => {
      const [begin, end] = [pageOf(first), pagesFor(first + positions)];
      const tensor = tf.keep(gpu.allocate([bytesOf(place, first, positions) / 4]));
      const kept = { tensor, pages: end - begin, first: begin };
      gpu.run([], 0, { after: copies(kept, place, begin, end, 'keep') });
      return kept;
    },
    take: (kept, _, place, first, positions) => {
      const begin = Math.max(pageOf(first), place.shared);
      gpu.run([], 0, { before: copies(kept, place, begin, pagesFor(first + positions), 'take') });
    },
    drop: ({ tensor }) => tensor.dispose(),
  };
}

/** Pages `first` … `end` of a sequence in runs of neighbours. */
function runs(pages: readonly number[], first: number, end: number): { nth: number; count: number }[] {
  const found: { nth: number; count: number }[] = [];
  for (let nth = first; nth < end; nth++) {
    const last = found.at(-1);
    if (last && pages[nth] === pages[last.nth] + last.count) last.count++;
    else found.push({ nth, count: 1 });
  }
  return found;
}
