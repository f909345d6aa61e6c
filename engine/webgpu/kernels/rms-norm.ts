/**
 * x / sqrt(mean(x²) + eps) · weight, a workgroup a row. With `pick`, only rows that have a place in the states buffer are
 * computed, and written there: the final norm. Source: Zhang & Sennrich 2019, eq. 4.
 */
import { activationOf, stored } from '../activation.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { reads, writes } from '../wgsl.ts';

export type NormShape = { readonly columns: number; readonly eps: number; readonly pick: boolean };

/** Bindings: step, x [rows, columns], weight [columns], y [rows or states, columns]. */
export function rmsNormKernel({ columns, eps, pick }: NormShape, { team, activations }: Tuning): Kernel {
  const y = writes('y', pick ? 'vec4f' : activationOf(activations).four);
  return kernel(
    `rms norm ${columns}`,
    {
      bindings: [STEP, reads('x', 'vec4f'), reads('weight', 'vec4f'), y],
      counts: { C4: columns / 4, TEAM: team },
      numbers: { COLUMNS: columns, EPS: eps },
      shared: { squares: team },
      threads: team,
      functions: STEP_FUNCTIONS,
      main: `
  let row = group.x;
  let to = ${pick ? 'outOf(row)' : 'row'};
  if (row >= stepRows()${pick ? ' || to == 0xffffffffu' : ''}) { return; }
  var square = 0f;
  for (var i = thread; i < C4; i += TEAM) { let v = x[row * C4 + i]; square += dot(v, v); }
  squares[thread] = square;
  workgroupBarrier();
  var total = 0f;
  for (var i = 0u; i < turns(TEAM); i++) { total += squares[i]; }
  let scale = inverseSqrt(total / COLUMNS + EPS);
  for (var i = thread; i < C4; i += TEAM) { y[to * C4 + i] = ${stored(y.element, 'x[row * C4 + i] * scale * weight[i]')}; }`,
    },
    (rows) => [rows, 1],
  );
}

export function rmsNormReference(
  { columns, eps, pick }: NormShape,
  inputs: {
    readonly rows: readonly StepRow[];
    readonly x: Float32Array;
    readonly weight: Float32Array;
    readonly y: Float32Array;
  },
): Float32Array {
  const out = inputs.y.slice();
  for (const [row, { out: place }] of inputs.rows.entries()) {
    const to = pick ? place : row;
    if (to === null) continue;
    const own = inputs.x.subarray(row * columns, (row + 1) * columns);
    const scale = 1 / Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / columns + eps);
    for (let i = 0; i < columns; i++) out[to * columns + i] = own[i] * scale * inputs.weight[i];
  }
  return out;
}
