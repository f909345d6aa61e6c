/**
 * Token ids to rows of the embedding. A table larger than one binding may be is bound in parts, one call each, and every
 * call writes only the rows whose ids lie in its part.
 */
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS } from '../step.ts';
import { reads, writes } from '../wgsl.ts';

/** Part of a matrix: rows first … first + count - 1. */
export type MatrixPart = { readonly first: number; readonly count: number };

/** Bindings: step, ids [rows], table [part.count, columns], y [rows, columns]. */
export function embedKernel(columns: number, part: MatrixPart, { threads }: Tuning): Kernel {
  return kernel(
    `embed ${columns}`,
    {
      bindings: [STEP, reads('ids', 'i32'), reads('table', 'vec4f'), writes('y', 'vec4f')],
      counts: { C4: columns / 4, FIRST: part.first, COUNT: part.count },
      threads,
      functions: STEP_FUNCTIONS,
      main: `
  let i = group.x * ${threads}u + thread;
  let row = group.y;
  let id = u32(ids[row]) - FIRST; // ids below FIRST wrap around and fail the test
  if (i < C4 && row < stepRows() && id < COUNT) { y[row * C4 + i] = table[id * C4 + i]; }`,
    },
    (rows) => [Math.ceil(columns / 4 / threads), rows],
  );
}

/** y keeps the rows of ids outside the part. */
export function embedReference(
  columns: number,
  part: MatrixPart,
  inputs: { readonly ids: Int32Array; readonly table: Float32Array; readonly y: Float32Array },
): Float32Array {
  const out = inputs.y.slice();
  for (const [row, id] of inputs.ids.entries()) {
    const own = id - part.first;
    if (own >= 0 && own < part.count) out.set(inputs.table.subarray(own * columns, (own + 1) * columns), row * columns);
  }
  return out;
}
