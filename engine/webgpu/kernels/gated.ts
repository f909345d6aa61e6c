/**
 * silu(x Wgᵀ) · (x Wuᵀ): both products and their gate in one pass over x. Either product may carry a low-rank addition.
 * Source: Shazeer 2020, "GLU variants", eq. 5.
 */
import { activationOf, stored } from '../activation.ts';
import { kernel, type Kernel, type Rows, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { formatFunctions, type WeightFormat } from '../weight-format.ts';
import { reads, writes, type Element } from '../wgsl.ts';
import { productInput, tileCounts, tileFor, tileShared, tileWidth, writeProduct } from './product-loop.ts';
import { linearReference, lowRank } from './linear.ts';

export type GatedShape = {
  readonly columns: number;
  readonly outputs: number;
  /** Rank of each product's low-rank addition, a multiple of 4; 0 for none. */
  readonly rank: number;
  /** Adapters there are. */
  readonly adapters: number;
  /** Where x is to be normalised first: eps of its RMS norm. It is float32 then, whatever else flows. */
  readonly normEps?: number;
};

/** Bindings: step, x [rows, columns], with a norm its gain [columns], gate and up [outputs, columns] in `format`, u [rows, adapters, 2, rank], b [adapters, 2, outputs, rank], y [rows, outputs]. */
export function gatedKernel(shape: GatedShape, format: WeightFormat, tuning: Tuning, rows: Rows): Kernel {
  const { columns, outputs, rank, adapters } = shape;
  const { one, four } = activationOf(tuning.activations);
  const tile = tileFor(tuning, rows, { format, columns, outputs, matrices: 2, divisible: true });
  const x = productInput(shape.normEps, columns, tile, tuning);
  const tiles = Math.ceil(outputs / tileWidth(tile));
  return kernel(
    `gated ${columns} to ${outputs}`,
    {
      bindings: [
        STEP,
        ...x.bindings,
        reads('gate', format.element),
        reads('up', format.element),
        ...(rank > 0 ? [reads('u', four), reads('b', 'vec4f')] : []),
        writes('y', one),
      ],
      counts: { ...tileCounts(tile, columns, format), OUTPUTS: outputs, RANK4: rank / 4, PARTS: 2, ADAPTERS: adapters },
      numbers: x.numbers,
      shared: { ...tileShared(tile, ['gate', 'up']), ...x.shared },
      threads: tile.threads,
      subgroups: tile.handRound > 0,
      functions: STEP_FUNCTIONS + formatFunctions(format) + finishFunction(rank, one),
      main: `
  let rowCount = stepRows();
  let firstRow = group.y * ${tile.rows}u;
${writeProduct({
  tile,
  format,
  normTeam: x.normTeam,
  weights: ['gate', 'up'],
  limit: outputs,
  finish: (n, row, gate, up) => `finish(${n}, ${row}, ${gate}, ${up});`,
})}`,
    },
    (count) => [tiles, Math.ceil(count / tile.rows)],
  );
}

function finishFunction(rank: number, element: Element): string {
  const low = (part: number): string => lowRank(`sum${part}`, `${part}u * OUTPUTS + n`, `${part}u`, '2u * OUTPUTS');
  return `
fn finish(n: u32, row: u32, gate: f32, up: f32) {
  var sum0 = gate;
  var sum1 = up;
${rank > 0 ? `${low(0)}\n${low(1)}` : ''}
  y[row * OUTPUTS + n] = ${stored(element, 'sum0 / (1f + exp(-sum0)) * sum1')};
}`;
}

export type GatedInputs = {
  readonly x: Float32Array;
  readonly gate: Float32Array;
  readonly up: Float32Array;
  readonly u?: Float32Array;
  readonly b?: Float32Array;
  readonly rows?: readonly StepRow[];
};

/** The same in plain loops. // [rows, outputs] */
export function gatedReference(shape: GatedShape, inputs: GatedInputs): Float32Array {
  const { outputs } = shape;
  const both = linearReference(
    { ...shape, parts: [outputs, outputs], bias: false, accumulate: false },
    { ...inputs, w: Float32Array.of(...inputs.gate, ...inputs.up) },
  );
  return Float32Array.from({ length: both.length / 2 }, (_, i) => {
    const at = Math.floor(i / outputs) * 2 * outputs + (i % outputs);
    return (both[at] / (1 + Math.exp(-both[at]))) * both[at + outputs];
  });
}
