/**
 * What one cache's steps work with beside weights and keys: the step buffer, token ids, the final states, and an arena for
 * everything between. Sizes follow from the model and the most rows of a step.
 */
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from '../formats/config.ts';
import { layOut, type Lifetime } from './arena.ts';
import { activationOf } from './activation.ts';
import type { Gpu } from './gpu.ts';
import type { Tuning } from './kernel.ts';
import { spanNumbers } from './kernels/attention.ts';
import { keptNumbers } from './kernels/draw-truncated.ts';
import { RECORD, runsOf } from './kernels/head-tiles.ts';
import { pagesFor } from './page-pool.ts';
import { stepWords, tablesBehind, type Tables } from './step.ts';

/** Widths of the low-rank intermediates; 0 where there is no adapter. */
export type LowRankWidths = { readonly qkv: number; readonly o: number; readonly gated: number; readonly down: number };

/** A cache's slots, the positions of each, how many of these a workgroup walks at most, what flows, and of how many rows windows are. */
export type CacheSize = Pick<Tuning, 'span' | 'activations' | 'handRound'> & {
  readonly slots: number;
  readonly capacity: number;
};

/** Rows with as many behind them as make a window whole. */
export const wholeWindows = (rows: number, { handRound }: Pick<Tuning, 'handRound'>): number =>
  handRound > 0 ? Math.ceil(rows / handRound) * handRound : rows;

export type Intermediate =
  'x' | 'normed' | 'qkv' | 'q' | 'attended' | 'gated' | 'lowQkv' | 'lowO' | 'lowGated' | 'lowDown';

export type Workspace = {
  /** Most rows of a step, and of a draw. */
  readonly rows: number;
  readonly slots: number;
  readonly step: GPUBuffer;
  /** Where the step buffer has the slots' pages. */
  readonly tables: Tables;
  readonly ids: GPUBuffer;
  readonly states: GPUBuffer; // [slots, hidden]
  /** What a draw leaves of the vocabulary, and what it takes. */
  readonly records: GPUBuffer; // [slots, runs, RECORD]
  readonly numbers: GPUBuffer; // [slots, 3]
  /** Logits of a window of rows. There is none until it is asked for: only cutting distributions off takes it. */
  readonly kept: GPUBuffer;
  /** What long rows leave of the spans of their keys, likewise. // [slots, heads, spans, headDim + 2] */
  readonly spans: GPUBuffer;
  of(name: Intermediate): GPUBuffer;
  dispose(): void;
};

export function openWorkspace(
  gpu: Gpu,
  config: ModelConfig,
  rows: number,
  size: CacheSize,
  low: LowRankWidths,
): Workspace {
  const { slots } = size;
  const arena = layOut(intermediates(config, rows, size, low));
  const fixed = Object.values(fixedSizes(config, rows, size));
  const integers = 2; // the step buffer and the ids
  const read = { windows: size.handRound > 0 };
  const fixedTensors = fixed.map((size, i) => tf.keep(gpu.allocate([size], i < integers ? 'int32' : 'float32', read)));
  const parts = arena.sizes.map((bytes) => tf.keep(gpu.allocate([bytes / 4], 'float32', read)));
  const [step, ids, states, records, numbers] = fixedTensors.map((tensor) => gpu.bufferOf(tensor));
  const buffers = parts.map((tensor) => gpu.bufferOf(tensor));
  const lazy = new Map<'kept' | 'spans', tf.Tensor>();
  const made = (name: 'kept' | 'spans'): GPUBuffer => {
    const known = lazy.get(name) ?? tf.keep(gpu.allocate([lazySizes(config, size)[name]]));
    lazy.set(name, known);
    return gpu.bufferOf(known);
  };
  return {
    ...{ rows, slots, step, ids, states, records, numbers },
    tables: tablesBehind(rows, pagesFor(size.capacity)),
    get kept() {
      return made('kept');
    },
    get spans() {
      return made('spans');
    },
    of: (name) => buffers[arena.places.get(name)!],
    dispose: () => tf.dispose([...fixedTensors, ...parts, ...lazy.values()]),
  };
}

/** Bytes of a workspace, before there is one, with all that may be asked for. */
export function workspaceBytes(config: ModelConfig, rows: number, size: CacheSize, low: LowRankWidths): number {
  const sizes = [...Object.values(fixedSizes(config, rows, size)), ...Object.values(lazySizes(config, size))];
  return sizes.reduce((a, b) => a + b, 0) * 4 + layOut(intermediates(config, rows, size, low)).bytes;
}

/** Numbers in what there may be. */
const lazySizes = (config: ModelConfig, { slots, capacity, span }: CacheSize) => ({
  kept: keptNumbers(slots, config.vocab),
  spans: span === null ? 0 : slots * spanNumbers({ ...config, capacity }, span),
});

/** Numbers in what lives as long as the workspace. */
function fixedSizes(config: ModelConfig, rows: number, size: CacheSize) {
  const { slots, capacity } = size;
  return {
    step: stepWords(rows, slots, pagesFor(capacity)),
    ids: rows,
    states: wholeWindows(slots, size) * config.hidden,
    records: slots * runsOf(config.vocab) * RECORD,
    numbers: slots * 3,
  };
}

/** Steps of a layer: norm 0, low rank 1, qkv 2, rotate 3, attend 4, low rank 5, o 6, norm 7, low rank 8, gated 9, low rank 10, down 11. */
function intermediates(config: ModelConfig, rows: number, size: CacheSize, low: LowRankWidths): Lifetime[] {
  const { hidden, intermediate, heads, kvHeads, headDim } = config;
  const one = (name: Intermediate, width: number, first: number, last: number): Lifetime => ({
    name,
    bytes: wholeWindows(rows, size) * width * (name === 'x' ? 4 : activationOf(size.activations).bytes),
    first,
    last,
  });
  return [
    one('x', hidden, 0, 12),
    one('normed', hidden, 0, 9),
    one('lowQkv', low.qkv, 1, 2),
    one('qkv', (heads + 2 * kvHeads) * headDim, 2, 3),
    one('q', heads * headDim, 3, 4),
    one('attended', heads * headDim, 4, 6),
    one('lowO', low.o, 5, 6),
    one('lowGated', low.gated, 8, 9),
    one('gated', intermediate, 9, 11),
    one('lowDown', low.down, 10, 11),
  ].filter(({ bytes }) => bytes > 0);
}
