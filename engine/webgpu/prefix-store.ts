/**
 * Keys and values of prompts that were computed before, kept on the device from call to call: a role's system prompt, a
 * turn's history, a question's other samples. They are found by tokens, under the very weights they were computed with, and
 * copied into a slot, so whoever goes on from them writes to its own. What was used longest ago goes when room is short.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import type { ForwardWeights } from '../model/trunk.ts';
import type { Copy, Gpu } from './gpu.ts';
import { PrefixTree, type Known } from './prefix-tree.ts';

/** Fewer tokens are sooner computed than copied. */
export const LEAST_SHARED = 16;

/** What a device may hold of beginnings unless told otherwise. */
export const PREFIX_BYTES = 256 * 2 ** 20;

/** Keys and values of a stretch of positions. // [layers, 2, kvHeads, positions, headDim] */
type Stretch = { readonly tensor: tf.Tensor; readonly positions: number };

type Version = { readonly using: ForwardWeights; readonly tree: PrefixTree<Stretch> };

/** Where a cache keeps the keys and values of one of its slots. */
export type SlotPlace = {
  readonly layers: readonly { readonly k: GPUBuffer; readonly v: GPUBuffer }[]; // [slots, kvHeads, capacity, headDim]
  readonly slot: number;
  readonly capacity: number;
  /** Of one number. */
  readonly bytes: 2 | 4;
};

export class PrefixStore {
  readonly #gpu: Gpu;
  readonly #config: ModelConfig;
  readonly #mostBytes: number;
  readonly #versions: Version[] = [];

  constructor(gpu: Gpu, config: ModelConfig, mostBytes: number) {
    this.#gpu = gpu;
    this.#config = config;
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#versions.reduce((sum, { tree }) => sum + tree.bytes, 0);
  }

  /** How many tokens of a prompt need not be computed; its last one always must. */
  known(prompt: Int32Array, using: ForwardWeights): number {
    const { length } = this.#treeOf(using).find(prompt.subarray(0, prompt.length - 1));
    return length < LEAST_SHARED ? 0 : length;
  }

  /** Copies that put what is known of the prompt into a slot. */
  take(prompt: Int32Array, using: ForwardWeights, place: SlotPlace): Copy[] {
    const { pieces }: Known<Stretch> = this.#treeOf(using).find(prompt.subarray(0, prompt.length - 1));
    return pieces.flatMap(({ kept, start, first, count }) =>
      this.#copies(kept, place, first - start, first, count, 'take'),
    );
  }

  /** Keeps what is new of a prompt that a slot holds, if it is worth it and finds room. */
  keep(prompt: Int32Array, using: ForwardWeights, place: SlotPlace): void {
    const { tree } = this.#versionOf(using);
    const first = tree.find(prompt).length;
    const positions = prompt.length - first;
    const { layers, kvHeads, headDim } = this.#config;
    const bytes = layers * 2 * kvHeads * positions * headDim * place.bytes;
    if (positions < LEAST_SHARED || bytes > this.#gpu.device.limits.maxBufferSize) return;
    if (!this.#makeRoom(bytes, prompt, tree)) return;
    const kept = { tensor: tf.keep(this.#gpu.allocate([bytes / 4])), positions };
    tree.add(prompt, kept, bytes);
    this.#gpu.run([], 0, { after: this.#copies(kept, place, 0, first, positions, 'keep') });
  }

  /** Gives everything back. */
  clear(): void {
    for (const { tree } of this.#versions.splice(0)) forget(tree);
  }

  /** Drops until so many bytes fit; false where they never will. */
  #makeRoom(bytes: number, prompt: Int32Array, own: PrefixTree<Stretch>): boolean {
    if (bytes > this.#mostBytes) return false;
    // Versions stand in the order of their last use.
    for (const { tree } of this.#versions)
      while (this.bytes + bytes > this.#mostBytes) {
        const dropped = tree.drop(tree === own ? prompt : Int32Array.of());
        if (!dropped) break;
        dropped.tensor.dispose();
      }
    return this.bytes + bytes <= this.#mostBytes;
  }

  #treeOf(using: ForwardWeights): PrefixTree<Stretch> {
    return this.#versionOf(using).tree;
  }

  /** The beginnings computed with these weights; those of weights that are gone are dropped. */
  #versionOf(using: ForwardWeights): Version {
    const all = this.#versions.splice(0);
    for (const version of all) {
      if (stands(version.using)) this.#versions.push(version);
      else forget(version.tree);
    }
    const at = this.#versions.findIndex(({ using: own }) => same(own, using));
    const version = at < 0 ? { using, tree: new PrefixTree<Stretch>() } : this.#versions.splice(at, 1)[0];
    this.#versions.push(version);
    return version;
  }

  /** Of all layers and heads: `count` positions between a stretch, from `within` on, and a slot, from `first` on. */
  #copies(
    { tensor, positions }: Stretch,
    { layers, slot, capacity, bytes }: SlotPlace,
    within: number,
    first: number,
    count: number,
    way: 'take' | 'keep',
  ): Copy[] {
    const { kvHeads, headDim } = this.#config;
    const stretch = this.#gpu.bufferOf(tensor);
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
}

function forget(tree: PrefixTree<Stretch>): void {
  for (const { tensor } of tree.kept()) tensor.dispose();
}

function same(a: ForwardWeights, b: ForwardWeights): boolean {
  return (
    a.weights === b.weights &&
    a.adapter === b.adapter &&
    (a.rollout ?? 'f32') === (b.rollout ?? 'f32') &&
    a.keys === b.keys &&
    (a.activations ?? 'f32') === (b.activations ?? 'f32')
  );
}

/** Weights that were trained or unloaded are gone. */
function stands({ weights, adapter }: ForwardWeights): boolean {
  const pairs = Object.values(adapter?.layers ?? {}).flatMap(({ a, b }) => [a, b]);
  return ![...Object.values(weights), ...pairs].some((tensor) => tensor.isDisposed);
}
