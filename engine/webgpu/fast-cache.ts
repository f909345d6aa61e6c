/**
 * Keys and values of the fast trunk, with the plans that fill and read them. Which slot a row belongs to, and which adapter
 * it has, is looked up in a table on every step: a batch shrinks without a number being moved, and roles with adapters of
 * their own on one base share its steps.
 */
import * as tf from '@tensorflow/tfjs';
import { OutOfMemory } from '../device/out-of-memory.ts';
import type { ModelConfig } from '../formats/config.ts';
import { ropeFrequencies } from '../formats/config.ts';
import type { Adapter, Cache, ForwardWeights, Weights } from '../model/trunk.ts';
import { copyPlan, decoderPlan, drawPlan, packAdapters, truncatedDrawPlan } from './decoder-plan.ts';
import type { PackedAdapters, PlanInputs } from './decoder-plan.ts';
import type { Gpu, Step } from './gpu.ts';
import type { Rows, Tuning } from './kernel.ts';
import { tileFor } from './kernels/product-loop.ts';
import type { PackedWeights, Packs } from './packed-weights.ts';
import type { PrefixStore, SlotPlace } from './prefix-store.ts';
import { openWorkspace, workspaceBytes, type Workspace } from './workspace.ts';

/** Most rows of one step of a prompt: enough to keep a device busy, few enough to keep intermediates small. */
export const PASS_ROWS = 256;

/** What all caches of a trunk stand on. */
export type Ground = {
  readonly gpu: Gpu;
  readonly config: ModelConfig;
  readonly tuning: Tuning;
  readonly packs: Packs;
  readonly prefixes: PrefixStore;
};

/** What stands on one set of weights and adapters. */
type Compiled = {
  readonly adapters: PackedAdapters;
  readonly workspace: Workspace;
  /** By how many rows a product takes at once. */
  readonly plans: Map<number, Plans>;
};

/** Dispatches from token ids to hidden states, from there to drawn tokens, and of keys from slot to slot. */
export type Plans = {
  readonly states: readonly Step[];
  readonly draw: readonly Step[];
  /** Where some rows cut their distribution off. */
  readonly drawTruncated: readonly Step[];
  readonly copy: readonly Step[];
};

export class FastCache implements Cache {
  slots: number;
  lengths: Int32Array;
  /** Where each slot's keys lie. */
  places: Int32Array;
  readonly capacity: number;
  readonly #gpu: Gpu;
  readonly #config: ModelConfig;
  readonly #tuning: Tuning;
  readonly #layers: readonly { readonly k: tf.Tensor; readonly v: tf.Tensor }[];
  readonly #rope: tf.Tensor;
  readonly #opened: number;
  /** Of every place, its adapter. */
  readonly #voices: (number | null)[];
  readonly #adapters: Adapter[] = [];
  #weights: { readonly own: Weights; readonly packed: PackedWeights } | null = null;
  readonly #packs: Packs;
  #compiled: Compiled | null = null;

  /** `voices`: what its slots will run with, as far as that is known; others cost a plan anew when they turn up. */
  constructor(
    { gpu, config, tuning, packs }: Ground,
    slots: number,
    capacity: number,
    voices: readonly ForwardWeights[] = [],
  ) {
    const size = slots * config.kvHeads * capacity * config.headDim;
    if (size * 4 > gpu.device.limits.maxStorageBufferBindingSize)
      throw new OutOfMemory(size * 4, 'one layer of the key-value cache');
    this.slots = this.#opened = slots;
    this.capacity = capacity;
    this.lengths = new Int32Array(slots);
    this.places = Int32Array.from({ length: slots }, (_, slot) => slot);
    this.#voices = Array.from({ length: slots }, () => null);
    this.#gpu = gpu;
    this.#config = config;
    this.#tuning = tuning;
    this.#packs = packs;
    for (const { adapter } of voices) this.#numberOf(adapter);
    this.#layers = Array.from({ length: config.layers }, () => ({
      k: tf.keep(gpu.allocate([size])),
      v: tf.keep(gpu.allocate([size])),
    }));
    this.#rope = tf.keep(tf.tensor1d(ropeTable(config, capacity)));
  }

  /** These slots run with these weights from now on; all slots of a cache share them, adapters apart. */
  runWith(slots: Int32Array, using: ForwardWeights): void {
    const packed = this.#packs.of(using);
    if (this.#weights && this.#weights.packed !== packed) throw new Error('a cache whose slots run on other weights');
    this.#weights ??= { own: using.weights, packed };
    const voice = this.#numberOf(using.adapter);
    for (const slot of slots) this.#voices[this.places[slot]] = voice;
  }

  /** Where a slot's keys lie and which adapter it has. */
  seat(slot: number): { readonly slot: number; readonly adapter: number | null } {
    return { slot: this.places[slot], adapter: this.#voices[this.places[slot]] };
  }

  /** Where a slot's keys and values lie. */
  placeOf(slot: number): SlotPlace {
    const layers = this.#layers.map(({ k, v }) => ({ k: this.#gpu.bufferOf(k), v: this.#gpu.bufferOf(v) }));
    return { layers, slot: this.places[slot], capacity: this.capacity };
  }

  /** The workspace, with room for steps of `rows` rows. */
  workspace(rows: number): Workspace {
    const known = this.#compiled;
    if (known && known.workspace.rows >= rows) return known.workspace;
    this.#forget();
    const adapters = packAdapters(this.#gpu, this.#config, this.#adapters);
    const most = Math.max(rows, this.#opened);
    const workspace = openWorkspace(this.#gpu, this.#config, most, this.#opened, adapters.widths);
    this.#compiled = { adapters, workspace, plans: new Map() };
    return workspace;
  }

  /** What a step of prompts runs, of `rows` rows. */
  promptPlans(rows: number): Plans {
    return this.#plansFor(this.workspace(rows), this.#tuning.stages ? 'prompts' : rows);
  }

  /** What a step of `rows` rows runs, one for each slot. */
  plans(rows: number): Plans {
    return this.#plansFor(this.workspace(rows), rows);
  }

  #plansFor(workspace: Workspace, rows: Rows): Plans {
    const { adapters, plans } = this.#compiled!;
    const { staged, rows: tile } = tileFor(this.#tuning, rows);
    const known = plans.get(tile);
    if (known) return known;
    const gpu = this.#gpu;
    const { own: weights, packed } = this.#weights!;
    const inputs: PlanInputs = {
      ...{ gpu, tuning: this.#tuning, config: this.#config, weights, packed, adapters, workspace },
      rows: staged ? 'prompts' : tile,
      capacity: this.capacity,
      layers: this.#layers.map(({ k, v }) => ({ k: gpu.bufferOf(k), v: gpu.bufferOf(v) })),
      rope: gpu.bufferOf(this.#rope),
    };
    const made = lazily({
      states: () => decoderPlan(inputs),
      draw: () => drawPlan(inputs),
      drawTruncated: () => truncatedDrawPlan(inputs),
      copy: () => copyPlan(inputs),
    });
    plans.set(tile, made);
    return made;
  }

  select(slots: Int32Array): void {
    const { lengths, places } = this;
    this.lengths = slots.map((slot) => lengths[slot]);
    this.places = slots.map((slot) => places[slot]);
    this.slots = slots.length;
  }

  dispose(): void {
    this.#forget();
    for (const { k, v } of this.#layers) tf.dispose([k, v]);
    this.#rope.dispose();
    // Else the pool would keep what training wants the room of.
    this.#gpu.trim();
  }

  #numberOf(adapter: Adapter | null): number | null {
    if (adapter === null) return null;
    const known = this.#adapters.indexOf(adapter);
    if (known >= 0) return known;
    this.#forget();
    return this.#adapters.push(adapter) - 1;
  }

  #forget(): void {
    this.#compiled?.adapters.dispose();
    this.#compiled?.workspace.dispose();
    this.#compiled = null;
  }
}

/** Bytes of a cache and of what its steps work with, known before it is opened; without adapters. */
export function cacheMemory(
  config: ModelConfig,
  slots: number,
  capacity: number,
): { readonly keysAndValues: number; readonly workspace: number } {
  const none = { qkv: 0, o: 0, gated: 0, down: 0 };
  return {
    keysAndValues: 2 * 4 * config.layers * slots * config.kvHeads * capacity * config.headDim,
    workspace: workspaceBytes(config, Math.max(slots, PASS_ROWS), slots, none),
  };
}

/** Each part is made when it is first asked for: prompts are never drawn from at their own width. */
function lazily(make: { readonly [Part in keyof Plans]: () => readonly Step[] }): Plans {
  const made: { -readonly [Part in keyof Plans]?: readonly Step[] } = {};
  return {
    get states() {
      return (made.states ??= make.states());
    },
    get draw() {
      return (made.draw ??= make.draw());
    },
    get drawTruncated() {
      return (made.drawTruncated ??= make.drawTruncated());
    },
    get copy() {
      return (made.copy ??= make.copy());
    },
  };
}

/** cos and sin of every position and pair by turns. // [positions, headDim / 2, 2] */
export function ropeTable(config: ModelConfig, positions: number): Float32Array {
  const frequencies = ropeFrequencies(config);
  const half = frequencies.length;
  const table = new Float32Array(positions * half * 2);
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      // Hugging Face multiplies position and frequency in float32; so do we, to agree at long positions.
      const angle = Math.fround(position * frequencies[i]);
      table[(position * half + i) * 2] = Math.cos(angle);
      table[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}
