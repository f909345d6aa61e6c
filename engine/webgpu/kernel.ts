/**
 * A kernel: one WGSL program for fixed widths and any number of rows. Rows are tokens; their number, and what else changes
 * from step to step, stands in the step buffer, so that neither pipelines nor bind groups ever depend on it.
 */
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
  /** Whether a subgroup's threads, where each has sums of its own, load the numbers they all need in turns and hand them round. */
  readonly handRound: boolean;
  /** Whether products of prompts stage tiles in workgroup memory. */
  readonly stages: boolean;
  /** How many keys of a long sequence a workgroup walks before others take over; null where one walks them all. */
  readonly span: number | null;
};

/** Rows of a step: so many, one for each sequence, or those of prompts. A row's bits follow from which of the two it is. */
export type Rows = number | 'prompts';

/**
 * A GPU wants neighbours to read neighbouring numbers and many threads on one sum. An adapter emulated on the CPU runs eight
 * threads as one vector, loads each thread's number by itself, and compiles slowly: there a thread does best with many sums
 * of its own to each load, nothing to wait for, and few programs.
 */
export function tuningFor({ software, device }: { software: boolean; device: GPUDevice }): Tuning {
  if (!software) return GPU_TUNING;
  const vector = device.features.has('subgroups') ? device.adapterInfo.subgroupMinSize : 1;
  return vector >= HAND_ROUND_LANES ? VECTOR_TUNING : SOFTWARE_TUNING;
}

/** In narrower subgroups too little is gained. */
const HAND_ROUND_LANES = 8;

/** Long enough to be worth a second dispatch, short enough that one sequence of some thousand keys keeps a GPU busy. */
export const KEY_SPAN = 256;

export const GPU_TUNING: Tuning = {
  ...{ team: 64, lanes: 32, outputs: 2, rows: [1, 2, 4, 8], threads: 64, handRound: false },
  ...{ stages: true, span: KEY_SPAN },
};
export const SOFTWARE_TUNING: Tuning = {
  ...{ team: 8, lanes: 1, outputs: 4, rows: [1, 8], threads: 32, handRound: false },
  ...{ stages: false, span: null },
};
export const VECTOR_TUNING: Tuning = { ...SOFTWARE_TUNING, rows: [1, 16], handRound: true };
