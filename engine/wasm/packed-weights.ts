/**
 * Weights as the steps of a cache read them: float32 in panels, or packed to 8 or 4 bits. Made when a set of weights is
 * first stepped with and kept while those stand, in memory that can be had again: where it is short they go and are made
 * anew, and panels beyond a bound are not made at all, since float32 rows can be read as they lie. The numbers are the same
 * either way, to the bit. It knows nothing of steps.
 */
import * as tf from '@tensorflow/tfjs';
import { isOutOfMemory } from '../device/out-of-memory.ts';
import { write } from '../device/elementwise-kernels.ts';
import { BLOCK_PACK_ARGS } from '../device/wasm-gemm/block-pack.ts';
import {
  BLOCK_ARGS,
  blocksOf,
  INTEGER_BYTES,
  rowsAtOnce,
  SCALE_BYTES,
  type BlockKind,
} from '../device/wasm-gemm/block-product.ts';
import { panelFloats, PANELS_ARGS, panelsOf } from '../device/wasm-gemm/panels.ts';
import type { WasmMachine } from '../device/wasm-machine.ts';
import type { ModelConfig } from '../formats/config.ts';
import { LINEAR_LAYERS } from '../formats/peft.ts';
import { weightOf } from '../model/linear.ts';
import { headPrecision, headWeight, type ForwardWeights, type Weights } from '../model/trunk.ts';
import type { WeightPrecision } from '../protocol.ts';

/** A matrix [n, k] to multiply with: its rows as they lie, in panels, or as blocks with their scales. */
export type Matrix = {
  readonly form: 'rows' | 'panels' | BlockKind;
  readonly n: number;
  readonly k: number;
  readonly values: tf.Tensor;
  readonly scales: tf.Tensor | null;
};

export type PackedWeights = {
  readonly precision: WeightPrecision;
  /** By the name of the linear layer; the head as 'head'. */
  readonly matrices: ReadonlyMap<string, Matrix>;
};

export const HEAD = 'head';

/** Float32 panels beside the weights themselves take no more than this in all. */
const MOST_PANEL_BYTES = 2 ** 30;

type Made = { readonly of: Weights; readonly packed: PackedWeights; readonly bytes: number };

export class Packs {
  readonly #machine: WasmMachine;
  readonly #config: ModelConfig;
  /** In the order of their last use. */
  readonly #made: Made[] = [];
  readonly #forget: () => void;

  constructor(machine: WasmMachine, config: ModelConfig) {
    this.#machine = machine;
    this.#config = config;
    this.#forget = machine.whenShort(() => this.clear());
  }

  of({ weights, rollout = 'f32' }: ForwardWeights): PackedWeights {
    this.#prune();
    const at = this.#made.findIndex(({ of, packed }) => of === weights && packed.precision === rollout);
    const made = at < 0 ? this.#make(weights, rollout) : this.#made.splice(at, 1)[0];
    this.#made.push(made);
    return made.packed;
  }

  /** Float32, in panels only where decoding has need of them too: many rows are multiplied as fast without. */
  exactOf({ weights, rollout = 'f32' }: ForwardWeights): PackedWeights {
    return rollout === 'f32' ? this.of({ weights, adapter: null }) : this.#asTheyLie(weights).packed;
  }

  clear(): void {
    for (const made of this.#made.splice(0)) dispose(made);
  }

  dispose(): void {
    this.#forget();
    this.clear();
  }

  #make(weights: Weights, precision: WeightPrecision): Made {
    if (precision === 'f32') {
      const bytes = this.#matrices(weights).reduce(
        (sum, [, { shape }]) => sum + 4 * panelFloats(shape[0], shape[1]!),
        0,
      );
      while (this.#bytes + bytes > MOST_PANEL_BYTES && this.#made.length > 0) dispose(this.#made.shift()!);
      if (bytes > MOST_PANEL_BYTES) return this.#asTheyLie(weights);
    }
    const matrices = new Map<string, Matrix>();
    try {
      for (const [name, tensor] of this.#matrices(weights)) {
        const form = name === HEAD ? headPrecision(precision) : precision;
        matrices.set(name, pack(this.#machine, tensor, form));
      }
    } catch (error) {
      for (const matrix of matrices.values()) disposeMatrix(matrix);
      if (precision === 'f32' && isOutOfMemory(error)) return this.#asTheyLie(weights);
      throw error;
    }
    const bytes = [...matrices.values()].reduce(
      (sum, { values, scales }) => sum + 4 * (values.size + (scales?.size ?? 0)),
      0,
    );
    return { of: weights, packed: { precision, matrices }, bytes };
  }

  #asTheyLie(weights: Weights): Made {
    const matrices = new Map(this.#matrices(weights).map(([name, tensor]) => [name, rowsOf(tensor)]));
    return { of: weights, packed: { precision: 'f32', matrices }, bytes: 0 };
  }

  #matrices(weights: Weights): [string, tf.Tensor][] {
    const config = this.#config;
    const layers = Array.from({ length: config.layers }, (_, layer) =>
      LINEAR_LAYERS.map((linear): [string, tf.Tensor] => {
        const name = `model.layers.${layer}.${linear}`;
        return [name, weightOf(weights, `${name}.weight`)];
      }),
    );
    return [...layers.flat(), [HEAD, headWeight(config, weights)]];
  }

  get #bytes(): number {
    return this.#made.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Weights that were trained or unloaded are gone, and with them what was packed of them. */
  #prune(): void {
    for (const made of this.#made.splice(0)) {
      if (Object.values(made.of).some((tensor) => tensor.isDisposed)) dispose(made);
      else this.#made.push(made);
    }
  }
}

function dispose({ packed }: Made): void {
  for (const matrix of packed.matrices.values()) disposeMatrix(matrix);
}

export function disposeMatrix({ form, values, scales }: Matrix): void {
  if (form !== 'rows') tf.dispose(scales ? [values, scales] : [values]);
}

/** A matrix as it lies, such as an adapter's, which is not worth packing. */
export function rowsOf(tensor: tf.Tensor): Matrix {
  return { form: 'rows', n: tensor.shape[0], k: tensor.shape[1]!, values: tensor, scales: null };
}

/** Of a tensor [n, k]. */
export function pack(machine: WasmMachine, tensor: tf.Tensor, precision: WeightPrecision): Matrix {
  const [n, k] = tensor.shape as [number, number];
  const from = machine.addressOf(tensor);
  const { team } = machine;
  if (precision === 'f32') {
    const values = machine.allocate([panelFloats(n, k)]);
    write(team, PANELS_ARGS, { from, to: machine.addressOf(values), n, k });
    team.run('packPanels', panelsOf(n), true);
    return { form: 'panels', n, k, values, scales: null };
  }
  if (precision === 'f16') throw new Error('WebAssembly knows no half floats');
  const blocks = n * blocksOf(k);
  const values = machine.allocate([(blocks * INTEGER_BYTES[precision]) / 4], 'int32');
  const scales = machine.allocate([(blocks * SCALE_BYTES[precision]) / 4]);
  const at = { from, integers: machine.addressOf(values), scales: machine.addressOf(scales), k };
  write(team, BLOCK_PACK_ARGS, at);
  team.run(precision === 'q8' ? 'packBytes' : 'packNibbles', n, true);
  return { form: precision, n, k, values, scales };
}

/** Multiply-adds of a packed product below which one thread is quicker than waking another. */
const SHARE_FROM = 300_000;
const PIECES_PER_THREAD = 3;
const LEAST_COLUMNS = 16;

/** c [m, n] = a [m, k] times the matrix transposed; both by address. */
export function multiply(machine: WasmMachine, matrix: Matrix, a: number, c: number, m: number): void {
  const { team, gemm } = machine;
  const { form, n, k } = matrix;
  const values = machine.addressOf(matrix.values);
  if (form === 'rows' || form === 'panels') {
    const panels = form === 'panels';
    gemm.multiply({ ...{ a, b: values, c, m, n, k, panels }, transposeA: false, transposeB: true, ...ALONE });
    return;
  }
  const columnBlock = Math.max(LEAST_COLUMNS, Math.ceil(n / (team.threads * PIECES_PER_THREAD)));
  const scales = machine.addressOf(matrix.scales!);
  write(team, BLOCK_ARGS, { a, integers: values, scales, c, m, n, k, columnBlock, rows: rowsAtOnce(k) });
  team.run(form === 'q8' ? 'bytesProduct' : 'nibblesProduct', Math.ceil(n / columnBlock), m * n * k >= SHARE_FROM);
}
const ALONE = { indexA: [0], indexB: [0] } as const;

/** What a packed matrix stands for, read in plain loops. // [n, k] */
export function unpackedReference({ form, n, k, values, scales }: Matrix): Float32Array {
  const integers = new Uint8Array((values.dataSync() as Int32Array).slice().buffer);
  const factors = scales!.dataSync() as Float32Array;
  const blocks = blocksOf(k);
  return Float32Array.from({ length: n * k }, (_, i) => {
    const [row, column] = [Math.floor(i / k), i % k];
    const [block, within] = [row * blocks + Math.floor(column / 32), column % 32];
    if (form === 'q8') return factors[block] * ((integers[block * 32 + within] << 24) >> 24);
    const pair = integers[block * 16 + (within % 16)];
    return factors[2 * block] * (within < 16 ? pair & 15 : pair >> 4) + factors[2 * block + 1];
  });
}
