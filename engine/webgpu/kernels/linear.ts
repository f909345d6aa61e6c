/**
 * Rows times a weight matrix: y = x Wᵀ, and then what is asked for: a bias, the low-rank addition of the row's own adapter,
 * the old value of y. Weights lie as Hugging Face stores them, [out, in]; q, k and v stand on one another and are one call.
 * Source of the low-rank term: Hu et al. 2021, "LoRA", eq. 3, with u = x Aᵀ of all adapters made by another call of this kernel.
 */
import { activationOf, stored } from '../activation.ts';
import { kernel, type Kernel, type Rows, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { formatFunctions, type WeightFormat } from '../weight-format.ts';
import { reads, writes, type Binding } from '../wgsl.ts';
import { productInput, tileCounts, tileFor, tileShared, tileWidth, writeProduct } from './product-loop.ts';

export type LinearShape = {
  readonly columns: number;
  /** Outputs, by the layers that stand on one another in W: each has a low-rank addition of its own. */
  readonly parts: readonly number[];
  readonly bias: boolean;
  /** Adds to y instead of replacing it: the residual, which is float32 whatever else flows. */
  readonly accumulate: boolean;
  /** Rank of each part's low-rank addition, a multiple of 4; 0 for none. */
  readonly rank: number;
  /** Adapters there are. */
  readonly adapters: number;
  /** Where x is to be normalised first: eps of its RMS norm. It is float32 then, whatever else flows. */
  readonly normEps?: number;
};

/** Bindings: step, x [rows, columns], with a norm its gain [columns], w [outputs, columns] in `format`, bias [outputs], u [rows, adapters, parts, rank], b [adapters, outputs, rank], y [rows, outputs]. */
export function linearKernel(shape: LinearShape, format: WeightFormat, tuning: Tuning, rows: Rows): Kernel {
  const { columns, parts, bias, rank, adapters } = shape;
  const { one, four } = activationOf(tuning.activations);
  const y = writes('y', shape.accumulate ? 'f32' : one);
  const outputs = sum(parts);
  const tile = tileFor(tuning, rows, { format, columns, outputs, matrices: 1, divisible: true });
  const x = productInput(shape.normEps, columns, tile, tuning);
  return kernel(
    `linear ${columns} to ${parts.join(' + ')}`,
    {
      bindings: [
        ...[STEP, ...x.bindings, reads('w', format.element)],
        ...(bias ? [reads('bias', 'f32')] : []),
        ...(rank > 0 ? [reads('u', four), reads('b', 'vec4f')] : []),
        y,
      ],
      counts: {
        ...tileCounts(tile, columns, format),
        ...{ OUTPUTS: outputs, RANK4: rank / 4, PARTS: parts.length, ADAPTERS: adapters },
      },
      numbers: x.numbers,
      shared: { ...tileShared(tile, ['w']), ...x.shared },
      threads: tile.threads,
      subgroups: tile.handRound > 0,
      functions: STEP_FUNCTIONS + formatFunctions(format) + finishFunction(shape, y),
      main: `
  let rowCount = stepRows();
  let firstRow = group.y * ${tile.rows}u;
${writeProduct({ tile, format, normTeam: x.normTeam, weights: ['w'], limit: outputs, finish: (n, row, value) => `finish(${n}, ${row}, ${value});` })}`,
    },
    (count) => [Math.ceil(outputs / tileWidth(tile)), Math.ceil(count / tile.rows)],
  );
}

function finishFunction({ parts, bias, rank, accumulate }: LinearShape, { element }: Binding): string {
  const part = parts.slice(1).map((_, i) => ` + select(0u, 1u, n >= ${sum(parts.slice(0, i + 1))}u)`);
  return `
fn finish(n: u32, row: u32, sum: f32) {
  var value = sum;
${bias ? '  value += bias[n];' : ''}
${rank > 0 ? `  let part = 0u${part.join('')};\n${lowRank('value', 'n', 'part')}` : ''}
  y[row * OUTPUTS + n] = ${stored(element, `value${accumulate ? ' + y[row * OUTPUTS + n]' : ''}`)};
}`;
}

/** Adds, where `row` has an adapter, row `n` of its b, which has `outputs` rows, times part `part` of its u. */
export function lowRank(sum: string, n: string, part: string, outputs = 'OUTPUTS'): string {
  return `  if (adapterOf(row) != 0xffffffffu) {
    let own = adapterOf(row);
    let bAt = (own * ${outputs} + ${n}) * RANK4;
    let uAt = ((row * ADAPTERS + own) * PARTS + ${part}) * RANK4;
    for (var j = 0u; j < turns(RANK4); j++) { ${sum} += dot(b[bAt + j], vec4f(u[uAt + j])); }
  }`;
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

export type LinearInputs = {
  readonly x: Float32Array;
  readonly w: Float32Array;
  readonly bias?: Float32Array;
  readonly u?: Float32Array;
  readonly b?: Float32Array;
  /** The old y, where it is added to. */
  readonly y?: Float32Array;
  /** Whose adapter each row has; without them none has one. */
  readonly rows?: readonly StepRow[];
};

/** The same in plain loops. // [rows, outputs] */
export function linearReference(shape: LinearShape, inputs: LinearInputs): Float32Array {
  const { x, w, bias, u, b, y } = inputs;
  const { columns, parts, rank, adapters } = shape;
  const partOf = parts.flatMap((outputs, part) => Array.from({ length: outputs }, () => part));
  const outputs = partOf.length;
  const rows = x.length / columns;
  const out = new Float32Array(rows * outputs);
  for (let row = 0; row < rows; row++) {
    const own = inputs.rows?.[row].adapter ?? null;
    for (let n = 0; n < outputs; n++) {
      let value = (bias?.[n] ?? 0) + (y?.[row * outputs + n] ?? 0);
      for (let k = 0; k < columns; k++) value += x[row * columns + k] * w[n * columns + k];
      const uAt = ((row * adapters + (own ?? 0)) * parts.length + partOf[n]) * rank;
      for (let j = 0; j < (own === null ? 0 : rank); j++) value += b![(own! * outputs + n) * rank + j] * u![uAt + j];
      out[row * outputs + n] = value;
    }
  }
  return out;
}
