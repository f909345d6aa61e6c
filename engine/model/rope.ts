/**
 * Rotary position embedding, rotate-half convention (Hugging Face): dimension i pairs with i + headDim/2. The rotation of a
 * half is one product with a constant matrix, which costs one operation forward and one backward on every device.
 * Source: Su et al. 2021, "RoFormer", eq. 34, with the halves layout of GPT-NeoX.
 */
import * as tf from '@tensorflow/tfjs';
import { fusedRope } from '../device/fused.ts';
import type { ModelConfig } from '../formats/config.ts';
import { ropeFrequencies } from '../formats/config.ts';

/** cos and sin of one set of positions, ready to broadcast over heads. // both [rows, 1, headDim] */
export type Rotation = { readonly cos: tf.Tensor3D; readonly sin: tf.Tensor3D };

const POSITIONS_STEP = 256;

/** cos, sin and the rotate-half matrix of one model; the tables grow in steps as longer positions are asked for. */
export class RopeTable {
  readonly headDim: number;
  readonly #frequencies: Float32Array; // [headDim / 2]
  #positions = 0;
  #cos: tf.Tensor2D | null = null; // [positions, headDim]
  #sin: tf.Tensor2D | null = null;
  readonly #rotateHalf: tf.Tensor2D; // [headDim, headDim]

  constructor(config: ModelConfig) {
    this.headDim = config.headDim;
    this.#frequencies = ropeFrequencies(config);
    this.#rotateHalf = tf.keep(rotateHalfMatrix(config.headDim));
  }

  /** Rows for positions 0 … length-1. */
  upTo(length: number): Rotation {
    this.#grow(length);
    return {
      cos: tf.reshape(tf.slice(this.#cos!, [0, 0], [length, this.headDim]), [length, 1, this.headDim]),
      sin: tf.reshape(tf.slice(this.#sin!, [0, 0], [length, this.headDim]), [length, 1, this.headDim]),
    };
  }

  /** One row per given position. positions: [rows] */
  at(positions: Int32Array): Rotation {
    this.#grow(positions.reduce((a, b) => Math.max(a, b), 0) + 1);
    const index = tf.tensor1d(positions, 'int32');
    const shape: [number, number, number] = [positions.length, 1, this.headDim];
    return {
      cos: tf.reshape(tf.gather(this.#cos!, index), shape),
      sin: tf.reshape(tf.gather(this.#sin!, index), shape),
    };
  }

  /**
   * Rotates every head. x: [batch * rows, heads * headDim], rotation of `rows` positions -> same shape.
   * Differentiable in x.
   */
  rotate(x: tf.Tensor2D, heads: number, rotation: Rotation): tf.Tensor2D {
    const fused = fusedRope(x, heads, rotation.cos, rotation.sin);
    if (fused) return fused;
    const rows = rotation.cos.shape[0];
    const batch = x.shape[0] / rows;
    const shape: [number, number, number, number] = [batch, rows, heads, this.headDim];
    const turned = tf.reshape(tf.matMul(tf.reshape(x, [batch * rows * heads, this.headDim]), this.#rotateHalf), shape);
    const sum = tf.add(tf.mul(tf.reshape(x, shape), rotation.cos), tf.mul(turned, rotation.sin));
    return tf.reshape(sum, x.shape);
  }

  dispose(): void {
    tf.dispose([this.#cos, this.#sin, this.#rotateHalf].filter((t) => t !== null));
    this.#cos = this.#sin = null;
  }

  #grow(length: number): void {
    if (length <= this.#positions) return;
    tf.dispose([this.#cos, this.#sin].filter((t) => t !== null));
    this.#positions = Math.ceil(length / POSITIONS_STEP) * POSITIONS_STEP;
    const half = this.headDim / 2;
    const cos = new Float32Array(this.#positions * this.headDim);
    const sin = new Float32Array(this.#positions * this.headDim);
    for (let position = 0; position < this.#positions; position++) {
      for (let i = 0; i < this.headDim; i++) {
        // Hugging Face multiplies position and frequency in float32; so do we, to agree at long positions.
        const angle = Math.fround(position * this.#frequencies[i % half]);
        cos[position * this.headDim + i] = Math.cos(angle);
        sin[position * this.headDim + i] = Math.sin(angle);
      }
    }
    this.#cos = tf.keep(tf.tensor2d(cos, [this.#positions, this.headDim]));
    this.#sin = tf.keep(tf.tensor2d(sin, [this.#positions, this.headDim]));
  }
}

/** x · R = [-x_second, x_first] for halves of x. */
function rotateHalfMatrix(headDim: number): tf.Tensor2D {
  const half = headDim / 2;
  const values = new Float32Array(headDim * headDim);
  for (let i = 0; i < half; i++) {
    values[(i + half) * headDim + i] = -1;
    values[i * headDim + i + half] = 1;
  }
  return tf.tensor2d(values, [headDim, headDim]);
}
