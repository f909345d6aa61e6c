/**
 * The key-value cache of the plain trunk: per layer one tensor of keys and one of values, preallocated, written in place.
 * tfjs has no in-place write, so each backend gets the cheapest correct one: CPU kinds copy rows inside the tensor's own
 * memory, WebGPU runs a small program whose output is the cache itself. Rows are [slots * kvHeads], slot-major.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { writeBlocks, writeRows } from './cache-write.ts';
import type { Cache, ForwardWeights } from './trunk.ts';

export type LayerCache = { k: tf.Tensor3D; v: tf.Tensor3D }; // [slots * kvHeads, capacity, headDim]

export class KeyValueCache implements Cache {
  slots: number;
  readonly capacity: number;
  lengths: Int32Array;
  readonly layers: LayerCache[];
  readonly #kvHeads: number;
  #using: ForwardWeights | null = null;

  constructor(config: ModelConfig, slots: number, capacity: number) {
    this.slots = slots;
    this.capacity = capacity;
    this.lengths = new Int32Array(slots);
    this.#kvHeads = config.kvHeads;
    const shape: [number, number, number] = [slots * config.kvHeads, capacity, config.headDim];
    this.layers = Array.from({ length: config.layers }, () => ({
      k: tf.keep(tf.zeros(shape)),
      v: tf.keep(tf.zeros(shape)),
    }));
  }

  /** What all slots run with: one for the whole cache. */
  get using(): ForwardWeights {
    if (!this.#using) throw new Error('a step before any prompt');
    return this.#using;
  }

  runWith(using: ForwardWeights): void {
    this.#using = using;
  }

  /** Takes positions 0 … length-1 of one layer, of all slots or of those named. k, v: [slots * kvHeads, length, headDim] */
  fill(layer: number, k: tf.Tensor3D, v: tf.Tensor3D, slots?: Int32Array): void {
    if (slots) {
      const rows = this.#rowsOf(slots);
      writeBlocks(this.layers[layer].k, k, rows);
      writeBlocks(this.layers[layer].v, v, rows);
      return;
    }
    const rest = this.capacity - k.shape[1];
    const place = (old: tf.Tensor3D, fresh: tf.Tensor3D): tf.Tensor3D => {
      old.dispose();
      return tf.keep(
        rest === 0
          ? tf.clone(fresh)
          : tf.pad(fresh, [
              [0, 0],
              [0, rest],
              [0, 0],
            ]),
      );
    };
    this.layers[layer] = { k: place(this.layers[layer].k, k), v: place(this.layers[layer].v, v) };
  }

  /** Writes each slot's next position of one layer. k, v: [slots, kvHeads * headDim] */
  append(layer: number, k: tf.Tensor2D, v: tf.Tensor2D, rowPositions: RowPositions): void {
    writeRows(this.layers[layer].k, k, rowPositions);
    writeRows(this.layers[layer].v, v, rowPositions);
  }

  /** Where the next token of every row goes. */
  nextPositions(): RowPositions {
    const host = new Int32Array(this.slots * this.#kvHeads);
    for (let row = 0; row < host.length; row++) host[row] = this.lengths[Math.floor(row / this.#kvHeads)];
    return { host, device: tf.getBackend() === 'webgpu' ? tf.tensor1d(host, 'int32') : null };
  }

  empty(slot: number): void {
    this.lengths[slot] = 0;
  }

  select(slots: Int32Array): void {
    tf.tidy(() => {
      const index = tf.tensor1d(this.#rowsOf(slots), 'int32');
      for (const layer of this.layers) {
        for (const part of ['k', 'v'] as const) {
          const old = layer[part];
          layer[part] = tf.keep(tf.gather(old, index));
          old.dispose();
        }
      }
    });
    const lengths = this.lengths;
    this.lengths = slots.map((slot) => lengths[slot]);
    this.slots = slots.length;
  }

  /** Rows of the tensors that belong to these slots. */
  #rowsOf(slots: Int32Array): Int32Array {
    const heads = this.#kvHeads;
    return Int32Array.from(
      { length: slots.length * heads },
      (_, i) => slots[Math.floor(i / heads)] * heads + (i % heads),
    );
  }

  dispose(): void {
    for (const layer of this.layers) tf.dispose([layer.k, layer.v]);
    this.layers.length = 0;
  }
}

/** Per cache row the position to write, on the host and, where the device needs it there, on the device. */
export type RowPositions = { readonly host: Int32Array; readonly device: tf.Tensor1D | null };
