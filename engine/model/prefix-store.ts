/**
 * Keys and values of prompts that were computed before, kept from call to call: a role's system prompt, a turn's history, a
 * question's other samples. They are found by tokens, under the very weights they were computed with, and copied into a
 * slot, so whoever goes on from them writes to its own. What was used longest ago goes when room is short. How a stretch is
 * kept is the device's affair.
 */
import type { WeightPrecision } from '../protocol.ts';
import { PrefixTree } from './prefix-tree.ts';
import type { ForwardWeights } from './trunk.ts';

/** Fewer tokens are sooner computed than copied. */
export const LEAST_SHARED = 16;

/** What a device may hold of beginnings unless told otherwise. */
export const PREFIX_BYTES = 256 * 2 ** 20;

/** Keeps stretches of the positions of a slot, and puts them back. */
export type Shelf<Place, Stretch> = {
  /** More than any bound where it cannot be kept at all. */
  bytesOf(place: Place, first: number, positions: number): number;
  keep(place: Place, first: number, positions: number): Stretch;
  /** Positions `within` … of a stretch to `first` … of a slot. */
  take(stretch: Stretch, within: number, place: Place, first: number, positions: number): void;
  drop(stretch: Stretch): void;
};

type Version<Stretch> = { readonly using: ForwardWeights; readonly tree: PrefixTree<Stretch> };

export class PrefixStore<Place, Stretch> {
  readonly #shelf: Shelf<Place, Stretch>;
  readonly #mostBytes: number;
  /** In the order of their last use. */
  readonly #versions: Version<Stretch>[] = [];

  constructor(shelf: Shelf<Place, Stretch>, mostBytes: number) {
    this.#shelf = shelf;
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

  /** Puts what is known of the prompt into a slot. */
  take(prompt: Int32Array, using: ForwardWeights, place: Place): void {
    const { pieces } = this.#treeOf(using).find(prompt.subarray(0, prompt.length - 1));
    for (const { kept, start, first, count } of pieces) this.#shelf.take(kept, first - start, place, first, count);
  }

  /** Keeps what is new of a prompt that a slot holds, if it is worth it and finds room. */
  keep(prompt: Int32Array, using: ForwardWeights, place: Place): void {
    const tree = this.#treeOf(using);
    const first = tree.find(prompt).length;
    const positions = prompt.length - first;
    const bytes = this.#shelf.bytesOf(place, first, positions);
    if (positions < LEAST_SHARED || !this.#makeRoom(bytes, prompt, tree)) return;
    const stretch = this.#shelf.keep(place, first, positions);
    // What it goes on from may have been given back, to find it room.
    const now = this.#treeOf(using);
    if (now.find(prompt).length === first) now.add(prompt, stretch, bytes);
    else this.#shelf.drop(stretch);
  }

  /** Gives everything back. */
  clear(): void {
    for (const { tree } of this.#versions.splice(0)) this.#forget(tree);
  }

  /** Drops until so many bytes fit; false where they never will. */
  #makeRoom(bytes: number, prompt: Int32Array, own: PrefixTree<Stretch>): boolean {
    if (bytes > this.#mostBytes) return false;
    for (const { tree } of this.#versions)
      while (this.bytes + bytes > this.#mostBytes) {
        const dropped = tree.drop(tree === own ? prompt : Int32Array.of());
        if (!dropped) break;
        this.#shelf.drop(dropped);
      }
    return this.bytes + bytes <= this.#mostBytes;
  }

  /** The beginnings computed with these weights; those of weights that are gone are dropped. */
  #treeOf(using: ForwardWeights): PrefixTree<Stretch> {
    const all = this.#versions.splice(0);
    for (const version of all) {
      if (stands(version.using)) this.#versions.push(version);
      else this.#forget(version.tree);
    }
    const at = this.#versions.findIndex(({ using: own }) => same(own, using));
    const version = at < 0 ? { using, tree: new PrefixTree<Stretch>() } : this.#versions.splice(at, 1)[0];
    this.#versions.push(version);
    return version.tree;
  }

  #forget(tree: PrefixTree<Stretch>): void {
    for (const stretch of tree.kept()) this.#shelf.drop(stretch);
  }
}

const precisionOf = ({ rollout = 'f32' }: ForwardWeights): WeightPrecision => rollout;

function same(a: ForwardWeights, b: ForwardWeights): boolean {
  return a.weights === b.weights && a.adapter === b.adapter && precisionOf(a) === precisionOf(b) && a.keys === b.keys;
}

/** Weights that were trained or unloaded are gone. */
function stands({ weights, adapter }: ForwardWeights): boolean {
  const pairs = Object.values(adapter?.layers ?? {}).flatMap(({ a, b }) => [a, b]);
  return ![...Object.values(weights), ...pairs].some((tensor) => tensor.isDisposed);
}
