/**
 * Keys and values of the fast trunk, with the plans that fill and read them. They lie in pages: which of them a row's
 * sequence has, and which adapter, is looked up in a table on every step, so that a batch shrinks without a number being
 * moved, sequences that begin alike hold the same pages, and roles with adapters of their own on one base share its steps.
 * Source of the pages: Kwon et al. 2023, "Efficient Memory Management for Large Language Model Serving with PagedAttention".
 */
import * as tf from '@tensorflow/tfjs';
import { OutOfMemory } from '../device/out-of-memory.ts';
import type { Arrival, Sitting } from './arrivals.ts';
import type { ModelConfig } from '../formats/config.ts';
import type { PrefixStore } from '../model/prefix-store.ts';
import type { Adapter, Cache, ForwardWeights, Weights } from '../model/trunk.ts';
import { copyPlan, decoderPlan, drawPlan, packAdapters, truncatedDrawPlan } from './decoder-plan.ts';
import type { PackedAdapters, PlanInputs } from './decoder-plan.ts';
import type { ActivationPrecision, KeyPrecision } from '../protocol.ts';
import type { Gpu, Step } from './gpu.ts';
import { keyFormatOf } from './key-format.ts';
import { KEY_SPAN, type Rows, type Tuning } from './kernel.ts';
import type { PackedWeights, Packs } from './packed-weights.ts';
import { PAGE, pagesFor } from './page-pool.ts';
import type { Place, Stretch } from './prefix-shelf.ts';
import { ropeTable } from './rope-table.ts';
import { Seating } from './seating.ts';
import { writeStep, type RowDraw, type StepRow } from './step.ts';
import { openWorkspace, workspaceBytes, type Workspace } from './workspace.ts';

/** Most rows of one step of a prompt: enough to keep a device busy, few enough to keep intermediates small. */
export const PASS_ROWS = 256;

/** What all caches of a trunk stand on. */
export type Ground = {
  readonly gpu: Gpu;
  readonly config: ModelConfig;
  readonly tuning: Tuning;
  readonly packs: Packs;
  readonly prefixes: PrefixStore<Place, Stretch>;
};

/** What products are cut for: the number of rows, doubled up to, as far as that may make a difference. */
export const planRows = (rows: number): number => Math.min(64, 2 ** Math.ceil(Math.log2(rows)));

/** What stands on one set of weights and adapters. */
type Compiled = {
  readonly adapters: PackedAdapters;
  readonly workspace: Workspace;
  /** By how many rows products are cut for. */
  readonly plans: Map<Rows, Plans>;
};

/** Dispatches from token ids to hidden states, from there to drawn tokens, and of keys from page to page. */
export type Plans = {
  readonly states: readonly Step[];
  /** Where some row has more keys than a span. */
  readonly statesOfSpans: readonly Step[];
  readonly draw: readonly Step[];
  /** Where some rows cut their distribution off. */
  readonly drawTruncated: readonly Step[];
  readonly copy: readonly Step[];
};

export class FastCache implements Cache {
  slots: number;
  lengths: Int32Array;
  readonly capacity: number;
  readonly keys: KeyPrecision;
  readonly activations: ActivationPrecision;
  readonly #gpu: Gpu;
  readonly #config: ModelConfig;
  readonly #tuning: Tuning;
  readonly #layers: readonly { readonly k: tf.Tensor; readonly v: tf.Tensor }[];
  readonly #rope: tf.Tensor;
  readonly #opened: number;
  readonly #seating: Seating;
  readonly #adapters: Adapter[] = [];
  #weights: { readonly own: Weights; readonly packed: PackedWeights } | null = null;
  readonly #packs: Packs;
  #compiled: Compiled | null = null;

  /**
   * `voices`: what its slots will run with, as far as that is known; others cost a plan anew when they turn up. `positions`:
   * for how many there are pages; less than all slots' capacity where sequences are shorter or begin alike.
   */
  constructor(
    { gpu, config, tuning, packs }: Ground,
    slots: number,
    capacity: number,
    voices: readonly ForwardWeights[] = [],
    positions = slots * PAGE * pagesFor(capacity),
  ) {
    this.keys = preferredKeys(voices[0]);
    this.activations = voices[0]?.activations ?? 'f32';
    const pages = 1 + pagesFor(positions);
    const page = config.kvHeads * PAGE * config.headDim * keyFormatOf(this.keys).bytes;
    const bytes = pages * page;
    if (bytes > gpu.device.limits.maxStorageBufferBindingSize)
      throw new OutOfMemory(bytes, 'one layer of the key-value cache');
    this.slots = this.#opened = slots;
    this.capacity = capacity;
    this.lengths = new Int32Array(slots);
    this.#seating = new Seating(slots, pages, 2 * config.layers * page);
    this.#gpu = gpu;
    this.#config = config;
    this.#tuning = { ...tuning, activations: this.activations };
    this.#packs = packs;
    for (const { adapter } of voices) this.#numberOf(adapter);
    this.#layers = Array.from({ length: config.layers }, () => ({
      k: tf.keep(gpu.allocate([bytes / 4])),
      v: tf.keep(gpu.allocate([bytes / 4])),
    }));
    this.#rope = tf.keep(tf.tensor1d(ropeTable(config, capacity)));
  }

  /** Slots run with these weights from now on; all slots of a cache share them, adapters apart. */
  runWith(using: ForwardWeights): void {
    if (using.keys !== undefined && using.keys !== this.keys)
      throw new Error(`${using.keys} keys in a cache of ${this.keys}`);
    if ((using.activations ?? 'f32') !== this.activations)
      throw new Error(`${using.activations} activations in a cache of ${this.activations}`);
    const packed = this.#packs.of(using);
    if (this.#weights && this.#weights.packed !== packed) throw new Error('a cache whose slots run on other weights');
    this.#weights ??= { own: using.weights, packed };
    this.#numberOf(using.adapter);
  }

  /** Pages that nobody has. */
  get free(): number {
    return this.#seating.free;
  }

  /** Who sits here and reads with this adapter. */
  sitting(adapter: Adapter | null): Sitting[] {
    return this.#seating.of(this.#numberOf(adapter));
  }

  /** Someone takes an empty slot, with pages for `span` positions. */
  sit(arrival: Arrival, adapter: Adapter | null, span: number): void {
    this.#seating.sit(arrival, this.#numberOf(adapter), span);
  }

  empty(slot: number): void {
    this.lengths[slot] = 0;
    this.#seating.empty(slot);
  }

  pagesOf(slot: number): readonly number[] {
    return this.#seating.pagesOf(slot);
  }

  /** Of a step's row at a position. */
  rowOf(slot: number, position: number): ReturnType<Seating['rowOf']> {
    return this.#seating.rowOf(slot, position);
  }

  /** Where a slot's keys and values lie; `shared`: how many of its pages others fill. */
  placeOf(slot: number, shared = 0): Place {
    const layers = this.#layers.map(({ k, v }) => ({ k: this.#gpu.bufferOf(k), v: this.#gpu.bufferOf(v) }));
    return { layers, pages: this.pagesOf(slot), shared, bytes: keyFormatOf(this.keys).bytes };
  }

  /** What the next step is about. */
  write(workspace: Workspace, rows: readonly StepRow[], draws: readonly RowDraw[] = []): void {
    const { step, tables } = workspace;
    this.#gpu.write(step, writeStep(rows, draws, tables));
    const changed = this.#seating.tables(tables.width);
    if (changed) this.#gpu.write(step, changed, 16 * tables.at);
  }

  /** The workspace, with room for steps of `rows` rows. */
  workspace(rows: number): Workspace {
    const known = this.#compiled;
    if (known && known.workspace.rows >= rows) return known.workspace;
    this.#forget();
    const adapters = packAdapters(this.#gpu, this.#config, this.#adapters);
    const most = Math.max(rows, this.#opened);
    const { span, activations, handRound } = this.#tuning;
    const size = { slots: this.#opened, capacity: this.capacity, span, activations, handRound };
    const workspace = openWorkspace(this.#gpu, this.#config, most, size, adapters.widths);
    this.#compiled = { adapters, workspace, plans: new Map() };
    this.#seating.forgetTables();
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
    const most = rows === 'prompts' ? rows : planRows(rows);
    const known = plans.get(most);
    if (known) return known;
    const gpu = this.#gpu;
    const { own: weights, packed } = this.#weights!;
    const inputs: PlanInputs = {
      ...{ gpu, tuning: this.#tuning, config: this.#config, weights, packed, adapters, workspace },
      rows: most,
      capacity: this.capacity,
      keys: this.keys,
      layers: this.#layers.map(({ k, v }) => ({ k: gpu.bufferOf(k), v: gpu.bufferOf(v) })),
      rope: gpu.bufferOf(this.#rope),
    };
    const made = lazily({
      states: () => decoderPlan(inputs),
      statesOfSpans: () => decoderPlan(inputs, this.#tuning.span),
      draw: () => drawPlan(inputs),
      drawTruncated: () => truncatedDrawPlan(inputs),
      copy: () => copyPlan(inputs),
    });
    plans.set(most, made);
    return made;
  }

  /** From token ids to hidden states, one row a slot, whose keys are `lengths`. */
  stateSteps(): readonly Step[] {
    const { span } = this.#tuning;
    const plans = this.plans(this.slots);
    return span !== null && this.lengths.some((length) => length > span) ? plans.statesOfSpans : plans.states;
  }

  select(slots: Int32Array): void {
    const { lengths } = this;
    this.lengths = slots.map((slot) => lengths[slot]);
    this.#seating.select(slots);
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

/** Half floats beside weights less exact too, since less is read of them; exact weights get exact keys. */
export function preferredKeys(using: Pick<ForwardWeights, 'rollout' | 'keys'> = {}): KeyPrecision {
  return using.keys ?? ((using.rollout ?? 'f32') === 'f32' ? 'f32' : 'f16');
}

/** Bytes of a cache and of what its steps work with, known before it is opened; without adapters. `positions` as for a cache. */
export function cacheMemory(
  config: ModelConfig,
  slots: number,
  capacity: number,
  keys: KeyPrecision = 'f32',
  positions = slots * PAGE * pagesFor(capacity),
): { readonly keysAndValues: number; readonly workspace: number } {
  const none = { qkv: 0, o: 0, gated: 0, down: 0 };
  return {
    keysAndValues:
      2 * keyFormatOf(keys).bytes * config.layers * (1 + pagesFor(positions)) * config.kvHeads * PAGE * config.headDim,
    workspace: workspaceBytes(
      config,
      Math.max(slots, PASS_ROWS),
      { slots, capacity, span: KEY_SPAN, activations: 'f32', handRound: 0 },
      none,
    ),
  };
}

/** Each part is made when it is first asked for: prompts are never drawn from at their own width. */
function lazily(make: { readonly [Part in keyof Plans]: () => readonly Step[] }): Plans {
  const made: { -readonly [Part in keyof Plans]?: readonly Step[] } = {};
  return {
    get states() {
      return (made.states ??= make.states());
    },
    get statesOfSpans() {
      return (made.statesOfSpans ??= make.statesOfSpans());
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
