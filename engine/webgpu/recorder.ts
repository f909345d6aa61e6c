/**
 * Dispatches of kernels with sizes, recorded one by one and submitted together. Buffers between them are tensors: one that
 * is disposed may be taken again by a later dispatch, since the queue keeps their order. What the host uploads must be on
 * the device before recording begins, or its copy could overtake a dispatch.
 */
import * as tf from '@tensorflow/tfjs';
import type { Bound, Gpu, Step } from './gpu.ts';
import { callWords, type SizedKernel } from './sized-kernel.ts';
import { Texels, type TexelLoad } from './texels.ts';

/** Offsets of bindings are multiples of this many words. */
const SLOT_WORDS = 64;
const SLOTS = 256;

/** What a call reads as texels: so many numbers of a buffer. */
type TexelSource = Pick<TexelLoad, 'from' | 'numbers' | 'bytes'>;

/** A buffer of numbers of so many bytes as the kernel's binding of this name wants it. */
export function operand(
  { bindings }: SizedKernel,
  name: string,
  from: Bound,
  numbers: number,
  bytes: 2 | 4,
): Bound | TexelSource {
  return bindings.some((one) => one.name === name && one.access === 'texels') ? { from, numbers, bytes } : from;
}

export class Recorder {
  readonly #gpu: Gpu;
  readonly #dims: tf.Tensor1D;
  readonly #words = new Uint32Array(SLOTS * SLOT_WORDS);
  readonly #texels: Texels;
  #steps: Step[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#texels = new Texels(gpu.device);
    this.#dims = tf.keep(gpu.allocate<tf.Tensor1D>([SLOTS * SLOT_WORDS], 'int32'));
  }

  /** `buffers` in the order of the kernel's bindings after its sizes; null where a call reads nothing, and never for texels. */
  add(
    kernel: SizedKernel,
    count: number,
    sizes: Readonly<Record<string, number>>,
    buffers: readonly (Bound | TexelSource | null)[],
  ): void {
    if (count === 0) return;
    if (this.#steps.length === SLOTS) this.submit();
    const slot = this.#steps.length * SLOT_WORDS;
    this.#words.set(callWords(kernel, count, sizes), slot);
    const dims = { buffer: this.#gpu.bufferOf(this.#dims), offset: slot * 4, size: SLOT_WORDS * 4 };
    const loads: TexelLoad[] = [];
    const bound = buffers.map((buffer, i) => {
      if (!buffer || !('numbers' in buffer)) return buffer ?? dims;
      const to = this.#texels.of(kernel.bindings[i + 1].name, buffer.numbers, buffer.bytes);
      loads.push({ ...buffer, to });
      return to;
    });
    const step = this.#gpu.bind(kernel, [dims, ...bound]);
    const grid = kernel.grid(count);
    this.#steps.push({ ...step, kernel: { ...kernel, grid: () => grid }, loads });
  }

  submit(): void {
    if (this.#steps.length === 0) return;
    this.#gpu.write(this.#gpu.bufferOf(this.#dims), this.#words.subarray(0, this.#steps.length * SLOT_WORDS));
    this.#gpu.run(this.#steps, 0);
    this.#steps = [];
    this.#texels.settle();
  }

  /** Forgets what was not submitted, as after an error. */
  drop(): void {
    this.#steps = [];
    this.#texels.settle();
  }

  dispose(): void {
    this.#dims.dispose();
    this.#texels.dispose();
  }
}
