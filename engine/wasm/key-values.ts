/**
 * Stretches of keys and values of the plain cache, moved within WebAssembly memory: from one slot to another, and to and
 * from tensors that outlive the cache. Of every layer and head, positions lie one behind the other.
 */
import type * as tf from '@tensorflow/tfjs';
import type { WasmMachine } from '../device/wasm-machine.ts';
import type { ModelConfig } from '../formats/config.ts';
import type { KeyValueCache } from '../model/cache.ts';
import type { Shelf } from '../model/prefix-store.ts';

export type SlotPlace = { readonly cache: KeyValueCache; readonly slot: number };

/** [layers, 2, kvHeads, positions, headDim] */
export type Kept = { readonly tensor: tf.Tensor; readonly positions: number };

type Shape = Pick<ModelConfig, 'layers' | 'kvHeads' | 'headDim'>;

/** Where the positions of each head of a slot begin, as indexes of float32s: layer by layer, keys before values. */
function headsOf(machine: WasmMachine, { kvHeads, headDim }: Shape, { cache, slot }: SlotPlace): number[] {
  return cache.layers.flatMap(({ k, v }) =>
    [k, v].flatMap((tensor) =>
      Array.from(
        { length: kvHeads },
        (_, head) => machine.addressOf(tensor) / 4 + (slot * kvHeads + head) * cache.capacity * headDim,
      ),
    ),
  );
}

function headsOfKept(machine: WasmMachine, { layers, kvHeads, headDim }: Shape, { tensor, positions }: Kept): number[] {
  const first = machine.addressOf(tensor) / 4;
  return Array.from({ length: layers * 2 * kvHeads }, (_, head) => first + head * positions * headDim);
}

/** Of every head: `count` positions between `at` and `to`. */
function move(
  machine: WasmMachine,
  headDim: number,
  [from, at]: readonly [heads: readonly number[], position: number],
  [onto, to]: readonly [heads: readonly number[], position: number],
  count: number,
): void {
  const floats = machine.team.floats();
  from.forEach((head, i) => {
    const source = head + at * headDim;
    floats.copyWithin(onto[i] + to * headDim, source, source + count * headDim);
  });
}

/** The first `count` positions of a slot to another. */
export function copyPositions(machine: WasmMachine, shape: Shape, from: SlotPlace, to: SlotPlace, count: number): void {
  const { headDim } = shape;
  move(machine, headDim, [headsOf(machine, shape, from), 0], [headsOf(machine, shape, to), 0], count);
}

export function shelfOf(machine: WasmMachine, shape: Shape): Shelf<SlotPlace, Kept> {
  const { layers, kvHeads, headDim } = shape;
  const floats = (positions: number): number => layers * 2 * kvHeads * positions * headDim;
  return {
    bytesOf: (_, __, positions) => 4 * floats(positions),
    keep: (place, first, positions) => {
      const kept = { tensor: machine.allocate([floats(positions)]), positions };
      const heads = headsOfKept(machine, shape, kept);
      move(machine, headDim, [headsOf(machine, shape, place), first], [heads, 0], positions);
      return kept;
    },
    take: (kept, within, place, first, positions) => {
      const heads = headsOfKept(machine, shape, kept);
      move(machine, headDim, [heads, within], [headsOf(machine, shape, place), first], positions);
    },
    drop: ({ tensor }) => tensor.dispose(),
  };
}
