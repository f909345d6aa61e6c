/**
 * Keys and values of the fast trunk, with the plans that fill and read them. Which slot a row belongs to is looked up in a
 * table on every step, so a batch shrinks without a number being moved.
 */
import * as tf from '@tensorflow/tfjs';
import { OutOfMemory } from '../device/out-of-memory.ts';
import type { ModelConfig } from '../formats/config.ts';
import { ropeFrequencies } from '../formats/config.ts';
import type { Cache, ForwardWeights } from '../model/trunk.ts';
import { decoderPlan, drawPlan, packWeights, type Packed, type PlanInputs } from './decoder-plan.ts';
import type { Gpu, Step } from './gpu.ts';
import type { Tuning } from './kernel.ts';
import { tileFor } from './kernels/product-loop.ts';
import { openWorkspace, workspaceBytes, type Workspace } from './workspace.ts';

/** Most rows of one step of a prompt: enough to keep a device busy, few enough to keep intermediates small. */
export const PASS_ROWS = 256;

/** What stands on one set of weights. */
type Compiled = {
  readonly using: ForwardWeights;
  readonly packed: Packed;
  readonly workspace: Workspace;
  /** By how many rows a product takes at once. */
  readonly plans: Map<number, Plans>;
};

/** Dispatches from token ids to hidden states, and from there to drawn tokens. */
export type Plans = { readonly states: readonly Step[]; readonly draw: readonly Step[] };

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
  #compiled: Compiled | null = null;

  constructor(gpu: Gpu, config: ModelConfig, tuning: Tuning, slots: number, capacity: number) {
    const size = slots * config.kvHeads * capacity * config.headDim;
    if (size * 4 > gpu.device.limits.maxStorageBufferBindingSize)
      throw new OutOfMemory(size * 4, 'one layer of the key-value cache');
    this.slots = this.#opened = slots;
    this.capacity = capacity;
    this.lengths = new Int32Array(slots);
    this.places = Int32Array.from({ length: slots }, (_, slot) => slot);
    this.#gpu = gpu;
    this.#config = config;
    this.#tuning = tuning;
    this.#layers = Array.from({ length: config.layers }, () => ({
      k: tf.keep(gpu.allocate([size])),
      v: tf.keep(gpu.allocate([size])),
    }));
    this.#rope = tf.keep(tf.tensor1d(ropeTable(config, capacity)));
  }

  /** The workspace for these weights, with room for steps of `rows` rows. */
  workspace(using: ForwardWeights, rows: number): Workspace {
    const known = this.#compiled;
    if (known && known.using === using && known.workspace.rows >= rows) return known.workspace;
    this.#forget();
    const packed = packWeights(this.#gpu, this.#config, using);
    const most = Math.max(rows, this.#opened);
    const workspace = openWorkspace(this.#gpu, this.#config, most, this.#opened, packed.widths);
    this.#compiled = { using, packed, workspace, plans: new Map() };
    return workspace;
  }

  /** What a step of `rows` rows runs. */
  plans(using: ForwardWeights, rows: number): Plans {
    const workspace = this.workspace(using, rows);
    const { packed, plans } = this.#compiled!;
    const tile = tileFor(this.#tuning, rows).rows;
    const known = plans.get(tile);
    if (known) return known;
    const gpu = this.#gpu;
    const inputs: PlanInputs = {
      ...{ gpu, tuning: this.#tuning, config: this.#config, using, packed, workspace, capacity: this.capacity, rows },
      layers: this.#layers.map(({ k, v }) => ({ k: gpu.bufferOf(k), v: gpu.bufferOf(v) })),
      rope: gpu.bufferOf(this.#rope),
    };
    const made = lazily({ states: () => decoderPlan(inputs), draw: () => drawPlan(inputs) });
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
  }

  #forget(): void {
    this.#compiled?.packed.dispose();
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
