/**
 * A kernel: one WGSL program for fixed widths and any number of rows. Rows are tokens; their number, and what else changes
 * from step to step, stands in the step buffer, so that neither pipelines nor bind groups ever depend on it.
 */
import type { ActivationPrecision } from '../protocol.ts';
import type { WeightFormat } from './weight-format.ts';
import { writeShader, type Binding, type Shader } from './wgsl.ts';

export type Grid = readonly [x: number, y: number];

export type Kernel = {
  readonly name: string;
  readonly bindings: readonly Binding[];
  readonly source: string;
  /** Workgroups for so many rows. */
  grid(rows: number): Grid;
};

export function kernel(name: string, shader: Shader, grid: (rows: number) => Grid): Kernel {
  return { name, bindings: shader.bindings, source: writeShader(shader), grid };
}

/** How kernels are cut for an adapter. */
export type Tuning = {
  /** Threads of a workgroup that share memory and wait for one another. */
  readonly team: number;
  /** Threads that share one output of a product, each with a part of the sum. */
  readonly lanes: number;
  /** Outputs of a product per thread. */
  readonly outputs: number;
  /** How many rows of a product a thread may take at once, ascending: each is a program of its own to compile. */
  readonly rows: readonly number[];
  /** Threads of a workgroup that do not wait for one another. */
  readonly threads: number;
  /** Threads of a subgroup that load the numbers all of them need in turns and hand them round; 0: each loads its own. */
  readonly handRound: number;
  /** Whether products of prompts stage tiles in workgroup memory. */
  readonly stages: boolean;
  /** Up to how many float32 rows a product normalises its own input, sparing a dispatch; beyond, the repeated work would cost more. */
  readonly normalises: number;
  /** How many keys of a long sequence a workgroup walks before others take over; null where one walks them all. */
  readonly span: number | null;
  /** How a product of so many rows was measured to run fastest here, where it was. */
  readonly measured?: (product: ProductShape, rows: number) => ProductCut | null;
  /** How exact what one kernel leaves for the next is. */
  readonly activations: ActivationPrecision;
};

/** Whether products of a step of so many rows do. */
export const normaliseThemselves = ({ normalises, activations }: Tuning, rows: Rows): boolean =>
  rows !== 'prompts' && rows <= normalises && activations === 'f32';

/** How fast a product is depends on this much of it. */
export type ProductShape = {
  readonly format: WeightFormat;
  readonly columns: number;
  readonly outputs: number;
  /** Matrices of that shape that are multiplied at once. */
  readonly matrices: number;
  /** Whether a workgroup's outputs may be cut otherwise than usual. */
  readonly divisible: boolean;
};

/** Rows and outputs of a product that a thread takes at once. A row's bits do not depend on it. */
export type ProductCut = { readonly rows: number; readonly outputs: number };

/** Rows of a step: so many, one for each sequence, or those of prompts. A row's bits follow from which of the two it is. */
export type Rows = number | 'prompts';

/**
 * A GPU wants neighbours to read neighbouring numbers and many threads on one sum. An adapter emulated on the CPU runs eight
 * threads as one vector, loads each thread's number by itself, and compiles slowly: there a thread does best with many sums
 * of its own to each load, nothing to wait for, and few programs.
 */
export function tuningFor({ software, device }: { software: boolean; device: GPUDevice }): Tuning {
  if (!software) return GPU_TUNING;
  const vector = vectorOf(device);
  return vector > 0 ? vectorTuning(vector) : SOFTWARE_TUNING;
}

/** In narrower vectors too little is gained. */
const VECTOR_LEAST = 8;

/** Threads of a subgroup where all have one size, and that is worth handing numbers round in; else 0. */
export function vectorOf({ features, adapterInfo }: Pick<GPUDevice, 'features' | 'adapterInfo'>): number {
  const { subgroupMinSize, subgroupMaxSize } = adapterInfo;
  const known = features.has('subgroups') && subgroupMinSize === subgroupMaxSize;
  return known && subgroupMinSize >= VECTOR_LEAST ? subgroupMinSize : 0;
}

/** Long enough to be worth a second dispatch, short enough that one sequence of some thousand keys keeps a GPU busy. */
export const KEY_SPAN = 256;

export const GPU_TUNING: Tuning = {
  ...{ team: 64, lanes: 32, outputs: 2, rows: [1, 2, 4, 8], threads: 64, handRound: 0 },
  ...{ stages: true, normalises: 4, span: KEY_SPAN, activations: 'f32' },
};
export const SOFTWARE_TUNING: Tuning = {
  ...{ team: 8, lanes: 1, outputs: 4, rows: [1, 8], threads: 32, handRound: 0 },
  ...{ stages: false, normalises: 0, span: null, activations: 'f32' },
};
/** Thirty-two rows by four outputs are as many sums as a processor's instruction cache has room for with their loads. */
export const vectorTuning = (vector: number): Tuning => ({
  ...SOFTWARE_TUNING,
  ...{ threads: 2 * vector, rows: [1, 8, 16, 32], handRound: vector },
});
