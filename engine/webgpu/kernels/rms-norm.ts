/**
 * x / sqrt(mean(x²) + eps) · weight, a workgroup a row. With `pick`, only rows that have a place in the states buffer are
 * computed, and written there: the final norm. A product of few rows may do it by itself, in each of its workgroups, and
 * comes to the same bits: a dispatch costs a GPU more than reading a row again. Source: Zhang & Sennrich 2019, eq. 4.
 */
import { activationOf, stored } from '../activation.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { each, reads, writes } from '../wgsl.ts';

/** Squares that a thread adds up at a time: none waits for the load of the one before. */
const AT_ONCE = 8;

/**
 * WGSL: `scale#` for each of so many rows of x, which begin at `x#` and have `columns` numbers. `team` threads of the
 * workgroup add up the squares, always in the same order; all of them wait.
 */
export function rowScales(rows: number, team: number, columns: string): string {
  const some = Math.min(AT_ONCE, team);
  const add = Array.from({ length: some }, (_, i) => each(rows, `    total# += squares[#u * ${team}u + i + ${i}u];`));
  return `
${each(rows, '  var square# = 0f;')}
  for (var i = thread; i < ${columns} && thread < ${team}u; i += ${team}u) {
${each(rows, '    let v# = x[x# + i]; square# += dot(v#, v#);')}
  }
  if (thread < ${team}u) {
${each(rows, `    squares[#u * ${team}u + thread] = square#;`)}
  }
  workgroupBarrier();
${each(rows, '  var total# = 0f;')}
  for (var i = 0u; i < turns(${team}u); i += ${some}u) {
${add.join('\n')}
  }
${each(rows, '  let scale# = inverseSqrt(total# / COLUMNS + EPS);')}`;
}

/** WGSL: four numbers of row `row`. */
export const normed = (row: number, at: string, gain: string): string => `x[${at}] * scale${row} * ${gain}`;

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
  let x0 = row * C4;
${rowScales(1, team, 'C4')}
  for (var i = thread; i < C4; i += TEAM) { y[to * C4 + i] = ${stored(y.element, normed(0, 'x0 + i', 'weight[i]'))}; }`,
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
