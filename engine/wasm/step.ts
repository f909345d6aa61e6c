/**
 * Steps of the decoder in WebAssembly memory: from token ids to final hidden states, by our jobs on buffers of our own, with
 * none of tfjs's operations between. A row is any token of any sequence: it writes its key and value to the cache and looks
 * at what the cache holds up to itself. Every row is computed in an order that depends on nothing beside it, so no bit of a
 * token changes with the batch, with the prompt's other tokens or with what of it was computed before.
 */
import * as tf from '@tensorflow/tfjs';
import { runRows } from '../device/decoder-kernels.ts';
import { planBroadcast, runBinary, write, type BroadcastPlan } from '../device/elementwise-kernels.ts';
import { CACHED_ARGS } from '../device/wasm-gemm/cached-attention.ts';
import type { WasmMachine } from '../device/wasm-machine.ts';
import type { ModelConfig } from '../formats/config.ts';
import type { KeyValueCache } from '../model/cache.ts';
import { weightOf } from '../model/linear.ts';
import { RopeTable } from '../model/rope.ts';
import type { Adapter, ForwardWeights } from '../model/trunk.ts';
import { HEAD, multiply, Packs, rowsOf, type Matrix, type PackedWeights } from './packed-weights.ts';

/** A token: which slot of the cache it stands in, and where; the row its final state is to go to, or null where none is asked for. */
export type StepRow = {
  readonly slot: number;
  readonly position: number;
  readonly id: number;
  readonly out: number | null;
};

/** Numbers below which waking another thread for attention takes longer than doing it. */
const SHARE_FROM = 40_000;

/** Buffers by name, each of so many numbers a row. */
type Widths = Readonly<
  Record<'x' | 'n' | 'q' | 'k' | 'v' | 'mixed' | 'gate' | 'up' | 'scale' | 'low' | 'added' | 'places', number>
>;

function widthsOf({ hidden, intermediate, heads, kvHeads, headDim }: ModelConfig, rank: number): Widths {
  const [q, kv] = [heads * headDim, kvHeads * headDim];
  return {
    ...{ x: hidden, n: Math.max(hidden, q), q, k: kv, v: kv, mixed: Math.max(hidden, q) },
    ...{ gate: intermediate, up: intermediate, scale: heads, places: 2 },
    ...{ low: rank, added: rank > 0 ? Math.max(hidden, intermediate, q) : 0 },
  };
}

export class Stepper {
  readonly #machine: WasmMachine;
  readonly #config: ModelConfig;
  readonly #packs: Packs;
  readonly #rope: RopeTable;
  #room: { readonly tensor: tf.Tensor; readonly rows: number; readonly rank: number } | null = null;

  constructor(machine: WasmMachine, config: ModelConfig) {
    this.#machine = machine;
    this.#config = config;
    this.#packs = new Packs(machine, config);
    this.#rope = new RopeTable(config);
  }

  /** For final states. // [rows, hidden] */
  allocate(rows: number): tf.Tensor2D {
    return this.#machine.allocate<tf.Tensor2D>([rows, this.#config.hidden]);
  }

  /**
   * Runs rows, a slot's in the order of their positions; the states that are asked for go to `hidden`. Those of prompts run
   * on the exact weights whatever the cache runs with: many at once, they are no slower.
   */
  states(cache: KeyValueCache, rows: readonly StepRow[], hidden: tf.Tensor2D, of: 'prompts' | 'answers'): void {
    tf.tidy(() => {
      // All that is allocated comes first: what follows goes by addresses.
      const rotation = this.#rope.at(Int32Array.from(rows, ({ position }) => position));
      const buffers = this.#buffers(rows.length, rankOf(cache.using.adapter));
      const packed = of === 'prompts' ? this.#packs.exactOf(cache.using) : this.#packs.of(cache.using);
      const pass = new Pass(this.#machine, this.#config, cache, packed, buffers, rotation);
      pass.run(rows, this.#machine.addressOf(hidden));
    });
  }

  /** hidden [rows, hidden] -> [rows, vocab] */
  logits(using: ForwardWeights, hidden: tf.Tensor2D): tf.Tensor2D {
    const machine = this.#machine;
    const [rows] = hidden.shape;
    const logits = machine.allocate<tf.Tensor2D>([rows, this.#config.vocab]);
    const head = this.#packs.of(using).matrices.get(HEAD)!;
    multiply(machine, head, machine.addressOf(hidden), machine.addressOf(logits), rows);
    return logits;
  }

  dispose(): void {
    this.#packs.dispose();
    this.#rope.dispose();
    this.#room?.tensor.dispose();
  }

  /** Addresses of the buffers, with room for so many rows. */
  #buffers(rows: number, rank: number): Widths {
    const known = this.#room;
    if (!known || known.rows < rows || known.rank < rank) {
      known?.tensor.dispose();
      const [most, widest] = [Math.max(rows, known?.rows ?? 0), Math.max(rank, known?.rank ?? 0)];
      const size = Object.values(widthsOf(this.#config, widest)).reduce((sum, width) => sum + width * most, 0);
      this.#room = { tensor: this.#machine.allocate([size]), rows: most, rank: widest };
    }
    const room = this.#room!;
    let at = this.#machine.addressOf(room.tensor);
    const addresses: Record<string, number> = {};
    for (const [name, width] of Object.entries(widthsOf(this.#config, room.rank))) {
      addresses[name] = at;
      at += 4 * width * room.rows;
    }
    return addresses as Widths;
  }
}

function rankOf(adapter: Adapter | null): number {
  return Object.values(adapter?.layers ?? {}).reduce((most, { a }) => Math.max(most, a.shape[0]), 0);
}

/** One pass of some rows through all layers. */
class Pass {
  readonly #machine: WasmMachine;
  readonly #config: ModelConfig;
  readonly #cache: KeyValueCache;
  readonly #packed: PackedWeights;
  readonly #at: Widths;
  readonly #cos: number;
  readonly #sin: number;

  constructor(
    machine: WasmMachine,
    config: ModelConfig,
    cache: KeyValueCache,
    packed: PackedWeights,
    buffers: Widths,
    rotation: { readonly cos: tf.Tensor; readonly sin: tf.Tensor },
  ) {
    this.#machine = machine;
    this.#config = config;
    this.#cache = cache;
    this.#packed = packed;
    this.#at = buffers;
    this.#cos = machine.addressOf(rotation.cos);
    this.#sin = machine.addressOf(rotation.sin);
  }

  /** Leaves the final states that are asked for in their rows at `states`. */
  run(rows: readonly StepRow[], states: number): void {
    const { hidden, layers, rmsEps } = this.#config;
    const { using } = this.#cache;
    const at = this.#at;
    const floats = this.#machine.team.floats();
    const embedding = this.#machine.addressOf(weightOf(using.weights, 'model.embed_tokens.weight')) / 4;
    rows.forEach(({ id }, i) =>
      floats.copyWithin(at.x / 4 + i * hidden, embedding + id * hidden, embedding + (id + 1) * hidden),
    );
    let left = rows;
    for (let layer = 0; layer < layers; layer++) left = this.#layer(layer, left, layer === layers - 1);
    this.#norm('model.norm', at.x, at.n, left.length, hidden, rmsEps);
    left.forEach(({ out }, i) => {
      const from = at.n / 4 + i * hidden;
      floats.copyWithin(states / 4 + out! * hidden, from, from + hidden);
    });
  }

  /** Returns the rows that went on: all of them but in the last layer, where only states that are asked for do. */
  #layer(layer: number, rows: readonly StepRow[], last: boolean): readonly StepRow[] {
    const { hidden, intermediate, heads, kvHeads, headDim, qkNorm, rmsEps } = this.#config;
    const at = this.#at;
    const name = `model.layers.${layer}`;
    this.#norm(`${name}.input_layernorm`, at.x, at.n, rows.length, hidden, rmsEps);
    this.#linear(`${name}.self_attn.k_proj`, at.n, at.k, rows.length);
    this.#linear(`${name}.self_attn.v_proj`, at.n, at.v, rows.length);
    if (qkNorm) this.#norm(`${name}.self_attn.k_norm`, at.k, at.k, rows.length * kvHeads, headDim, rmsEps);
    this.#rotate(at.k, kvHeads, rows.length);
    this.#remember(layer, rows);
    const asked = last ? this.#pick(rows) : rows;
    const count = asked.length;
    this.#linear(`${name}.self_attn.q_proj`, at.n, at.q, count);
    if (qkNorm) this.#norm(`${name}.self_attn.q_norm`, at.q, at.q, count * heads, headDim, rmsEps);
    this.#rotate(at.q, heads, count);
    this.#attend(layer, asked);
    this.#linear(`${name}.self_attn.o_proj`, at.mixed, at.n, count);
    this.#add(at.x, at.n, count, hidden);
    this.#norm(`${name}.post_attention_layernorm`, at.x, at.n, count, hidden, rmsEps);
    this.#linear(`${name}.mlp.gate_proj`, at.n, at.gate, count);
    this.#linear(`${name}.mlp.up_proj`, at.n, at.up, count);
    runRows(this.#machine.team, 'gated', [at.gate, at.up, at.gate], { rows: count, cols: intermediate });
    this.#linear(`${name}.mlp.down_proj`, at.gate, at.n, count);
    this.#add(at.x, at.n, count, hidden);
    return asked;
  }

  /** Moves the rows whose states are asked for to the front, with their rotations. */
  #pick(rows: readonly StepRow[]): readonly StepRow[] {
    const { hidden, headDim } = this.#config;
    const floats = this.#machine.team.floats();
    const move = (buffer: number, width: number, to: number, from: number): void => {
      const at = buffer / 4;
      floats.copyWithin(at + to * width, at + from * width, at + (from + 1) * width);
    };
    const asked: StepRow[] = [];
    rows.forEach((row, i) => {
      if (row.out === null) return;
      const to = asked.push(row) - 1;
      if (to === i) return;
      for (const buffer of [this.#at.x, this.#at.n]) move(buffer, hidden, to, i);
      for (const table of [this.#cos, this.#sin]) move(table, headDim, to, i);
    });
    return asked;
  }

  #norm(name: string, x: number, y: number, rows: number, cols: number, eps: number): void {
    const { team } = this.#machine;
    const weight = this.#machine.addressOf(weightOf(this.#cache.using.weights, `${name}.weight`));
    runRows(team, 'rmsNorm', [x, weight, y, this.#at.scale], { rows, cols, number: eps });
  }

  /** y = x times the layer's matrix, with its bias and low-rank addition. */
  #linear(name: string, x: number, y: number, rows: number): void {
    const { weights, adapter } = this.#cache.using;
    const matrix = this.#packed.matrices.get(name)!;
    this.#product(matrix, x, y, rows);
    const bias = weights[`${name}.bias`];
    if (bias) this.#addTo(y, this.#machine.addressOf(bias), planBroadcast([rows, matrix.n], [matrix.n])!);
    const low = adapter?.layers[name];
    if (!low) return;
    const { low: inner, added } = this.#at;
    this.#product(rowsOf(low.a), x, inner, rows);
    const numbers = this.#machine.team.floats().subarray(inner / 4, inner / 4 + rows * low.a.shape[0]);
    for (let i = 0; i < numbers.length; i++) numbers[i] *= adapter!.scale;
    this.#product(rowsOf(low.b), inner, added, rows);
    this.#add(y, added, rows, matrix.n);
  }

  #product(matrix: Matrix, a: number, c: number, rows: number): void {
    multiply(this.#machine, matrix, a, c, rows);
  }

  /** x += y, both [rows, cols]. */
  #add(x: number, y: number, rows: number, cols: number): void {
    this.#addTo(x, y, planBroadcast([rows, cols], [rows, cols])!);
  }

  #addTo(x: number, y: number, plan: BroadcastPlan): void {
    runBinary(this.#machine.team, 'Add', { a: x, b: y, out: x }, plan);
  }

  #rotate(x: number, heads: number, rows: number): void {
    const call = { rows: rows * heads, cols: this.#config.headDim, period: rows * heads, number: 1 };
    runRows(this.#machine.team, 'rope', [x, this.#cos, this.#sin, x, heads], call);
  }

  /** Writes the rows' keys and values to their places in the cache. */
  #remember(layer: number, rows: readonly StepRow[]): void {
    const { kvHeads, headDim } = this.#config;
    const { k, v } = this.#cache.layers[layer];
    const floats = this.#machine.team.floats();
    for (const [from, to] of [
      [this.#at.k / 4, this.#machine.addressOf(k) / 4],
      [this.#at.v / 4, this.#machine.addressOf(v) / 4],
    ] as const)
      rows.forEach(({ slot, position }, i) => {
        for (let head = 0; head < kvHeads; head++) {
          const source = from + (i * kvHeads + head) * headDim;
          const target = to + ((slot * kvHeads + head) * this.#cache.capacity + position) * headDim;
          floats.copyWithin(target, source, source + headDim);
        }
      });
  }

  /** From q to mixed: each row looks at its slot's positions up to its own. */
  #attend(layer: number, rows: readonly StepRow[]): void {
    const { heads, kvHeads, headDim } = this.#config;
    const { capacity, layers } = this.#cache;
    const { team } = this.#machine;
    const words = team.view();
    let seen = 0;
    rows.forEach(({ slot, position }, i) => {
      words[this.#at.places / 4 + 2 * i] = slot;
      words[this.#at.places / 4 + 2 * i + 1] = position;
      seen += position + 1;
    });
    write(team, CACHED_ARGS, {
      ...{ q: this.#at.q, k: this.#machine.addressOf(layers[layer].k), v: this.#machine.addressOf(layers[layer].v) },
      ...{ out: this.#at.mixed, places: this.#at.places, heads, group: heads / kvHeads, dim: headDim, capacity },
    });
    team.run('cachedAttention', rows.length * heads, seen * heads * headDim * 2 >= SHARE_FROM);
  }
}
