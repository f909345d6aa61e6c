/**
 * A team of threads inside one WebAssembly memory: the caller and its helpers. It owns the control block, every thread's
 * scratch memory and the helper threads' lives; it knows jobs only by number. With no helpers nothing atomic runs.
 */
import { JOB, type KernelExports, type KernelOptions, kernelBytes } from './module.ts';
import { SCRATCH_BYTES } from './product.ts';
import { CONTROL, CONTROL_BYTES } from './team.ts';

/** What a helper thread is started with. It instantiates `module` on `memory` as {e: {memory}} and calls its export `serve(control, scratch)`. */
export type HelperStart = {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly control: number;
  readonly scratch: number;
};

/** Starts one helper thread; returns how to end it. */
export type StartHelper = (start: HelperStart) => () => void;

/** The memory we work in and its owner's allocator. `allocate` throws when memory is out. */
export type Heap = {
  readonly memory: WebAssembly.Memory;
  allocate(bytes: number): number;
  free(address: number): void;
};

const ALIGN = 64;

export class ThreadTeam {
  readonly threads: number;
  private readonly exports: KernelExports;
  private readonly stops: (() => void)[] = [];
  private readonly control: number;
  private readonly scratch: number;
  private readonly heap: Heap;
  private words: Int32Array;

  private constructor(
    heap: Heap,
    module: WebAssembly.Module,
    shared: boolean,
    helpers: number,
    start: StartHelper | null,
  ) {
    this.heap = heap;
    this.exports = new WebAssembly.Instance(module, { e: { memory: heap.memory } }).exports as unknown as KernelExports;
    const stride = roundUp(SCRATCH_BYTES, ALIGN);
    const base = heap.allocate(CONTROL_BYTES + stride * (helpers + 1) + ALIGN);
    this.control = roundUp(base, ALIGN);
    this.scratch = this.control + CONTROL_BYTES;
    this.words = new Int32Array(heap.memory.buffer);
    this.words.fill(0, this.control >>> 2, (this.control + CONTROL_BYTES) >>> 2);
    const count = shared && start ? helpers : 0;
    for (let i = 1; i <= count; i++) {
      this.stops.push(
        start!({ module, memory: heap.memory, control: this.control, scratch: this.scratch + i * stride }),
      );
    }
    this.threads = count + 1;
  }

  static async open(
    heap: Heap,
    options: KernelOptions,
    helpers: number,
    start: StartHelper | null,
  ): Promise<ThreadTeam> {
    const module = await WebAssembly.compile(kernelBytes(options));
    return new ThreadTeam(heap, module, options.shared, helpers, start);
  }

  /** A view of the memory that covers `end` (it grows, and old views stay short). */
  view(): Int32Array {
    if (this.words.buffer !== this.heap.memory.buffer) this.words = new Int32Array(this.heap.memory.buffer);
    return this.words;
  }

  /** The same memory as numbers. */
  floats(): Float32Array {
    return new Float32Array(this.heap.memory.buffer);
  }

  /** Word index of the job's arguments. Write them just before `run`. */
  get args(): number {
    return (this.control + CONTROL.args) >>> 2;
  }

  /** Runs a job over its pieces; `share` false keeps it on this thread, which is quicker below some ten microseconds of work. */
  run(job: keyof typeof JOB, pieces: number, share: boolean): void {
    this.view()[(this.control + CONTROL.job) >>> 2] = JOB[job];
    if (share && pieces > 1 && this.threads > 1) this.exports.run(this.control, this.scratch, pieces);
    else this.exports.runAlone(this.control, this.scratch, pieces);
  }

  /** Ends the helper threads. The heap's owner frees the memory. */
  close(): void {
    const words = this.view();
    Atomics.store(words, (this.control + CONTROL.quit) >>> 2, 1);
    if (this.threads > 1) {
      Atomics.add(words, (this.control + CONTROL.generation) >>> 2, 1);
      Atomics.notify(words, (this.control + CONTROL.generation) >>> 2);
    }
    for (const stop of this.stops) stop();
  }
}

export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
