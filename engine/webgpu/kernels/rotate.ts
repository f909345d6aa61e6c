/**
 * What stands between the q, k, v product and attention, in one dispatch: the RMS norm of every head of q and k (Qwen3),
 * rotary positions, and the write into the cache: k and v go to their place in a page, q to a buffer of its own.
 * Dimension i pairs with i + headDim/2. Source: Su et al. 2021, "RoFormer", eq. 34, with the halves layout of GPT-NeoX.
 */
import { activationOf, stored } from '../activation.ts';
import { asPair, keyFormatOf } from '../key-format.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import type { KeyPrecision } from '../../protocol.ts';
import { PAGE } from '../page-pool.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { reads, writes } from '../wgsl.ts';

export type HeadsShape = {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Most positions of a sequence. */
  readonly capacity: number;
  readonly keys: KeyPrecision;
};
export type RotateShape = HeadsShape & {
  /** eps of the heads' norms, or null where there are none. */
  readonly normEps: number | null;
};

/**
 * Bindings: step, table [positions, headDim / 2] of cos and sin, qkv [rows, (heads + 2 kvHeads) headDim], q [rows, heads
 * headDim], k and v [pages, kvHeads, PAGE, headDim], and with norms qNorm and kNorm [headDim]. A thread takes two
 * neighbouring pairs of one head, since half floats are stored in twos.
 */
export function rotateKernel(shape: RotateShape, { threads, activations }: Tuning): Kernel {
  const { two } = activationOf(activations);
  const { heads, kvHeads, headDim, normEps } = shape;
  const keys = keyFormatOf(shape.keys);
  const twos = ((heads + 2 * kvHeads) * headDim) / 4;
  const norms = normEps === null ? [] : [reads('qNorm', 'vec2f'), reads('kNorm', 'vec2f')];
  return kernel(
    `rotate ${heads} + ${kvHeads} heads of ${headDim}`,
    {
      bindings: [
        ...[STEP, reads('table', 'vec4f'), reads('qkv', two), writes('q', two)],
        ...[writes('k', keys.pair), writes('v', keys.pair), ...norms],
      ],
      counts: { HEADS: heads, KV_HEADS: kvHeads, D2: headDim / 2, HALF2: headDim / 4, PAGE, TWOS: twos },
      numbers: { DIM: headDim, EPS: normEps ?? 0 },
      threads,
      functions: STEP_FUNCTIONS,
      main: `
  let index = group.x * ${threads}u + thread;
  let row = group.y;
  if (index >= TWOS || row >= stepRows()) { return; }
  let head = index / HALF2;
  let i = index % HALF2;
  let at = row * 2u * TWOS + head * D2;
  let position = positionOf(row);
  let cached = ownPageOf(row) * KV_HEADS;
  let within = position % PAGE;
  var low = vec2f(qkv[at + i]);
  var high = vec2f(qkv[at + HALF2 + i]);
  if (head >= HEADS + KV_HEADS) {
    let to = ((cached + head - HEADS - KV_HEADS) * PAGE + within) * D2;
    v[to + i] = ${asPair(keys, 'low')};
    v[to + HALF2 + i] = ${asPair(keys, 'high')};
    return;
  }
${normEps === null ? '' : NORM}
  let turn = table[position * HALF2 + i];
  let first = low * turn.xz - high * turn.yw;
  let second = high * turn.xz + low * turn.yw;
  if (head < HEADS) {
    let to = (row * HEADS + head) * D2;
    q[to + i] = ${stored(two, 'first')};
    q[to + HALF2 + i] = ${stored(two, 'second')};
  } else {
    let to = ((cached + head - HEADS) * PAGE + within) * D2;
    k[to + i] = ${asPair(keys, 'first')};
    k[to + HALF2 + i] = ${asPair(keys, 'second')};
  }`,
    },
    (rows) => [Math.ceil(twos / threads), rows],
  );
}

/** Every thread adds up its whole head: few numbers, and nothing to wait for. */
const NORM = `
  var square = 0f;
  for (var j = 0u; j < turns(D2); j++) { let both = vec2f(qkv[at + j]); square += dot(both, both); }
  let scale = inverseSqrt(square / DIM + EPS);
  low *= scale * select(kNorm[i], qNorm[i], head < HEADS);
  high *= scale * select(kNorm[HALF2 + i], qNorm[HALF2 + i], head < HEADS);`;

export type RotateInputs = {
  readonly rows: readonly StepRow[];
  /** Of every slot. */
  readonly pages: readonly (readonly number[])[];
  /** cos and sin by turns. // [positions, headDim / 2, 2] */
  readonly table: Float32Array;
  readonly qkv: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly qNorm?: Float32Array;
  readonly kNorm?: Float32Array;
};

export function rotateReference(
  shape: RotateShape,
  inputs: RotateInputs,
): { readonly q: Float32Array; readonly k: Float32Array; readonly v: Float32Array } {
  const { heads, kvHeads, headDim } = shape;
  const q = new Float32Array(inputs.rows.length * heads * headDim);
  const [k, v] = [inputs.k.slice(), inputs.v.slice()];
  for (const [row, { slot, position }] of inputs.rows.entries()) {
    for (let head = 0; head < heads + 2 * kvHeads; head++) {
      const at = (row * (heads + 2 * kvHeads) + head) * headDim;
      const own = inputs.qkv.subarray(at, at + headDim);
      const cached = placeOf(shape, inputs.pages[slot], (head - heads) % kvHeads, position);
      if (head < heads) q.set(turned(shape, inputs, own, position, inputs.qNorm), (row * heads + head) * headDim);
      else if (head < heads + kvHeads) k.set(turned(shape, inputs, own, position, inputs.kNorm), cached);
      else v.set(own, cached);
    }
  }
  return { q, k, v };
}

/** Where a position's key of one head begins. // of [pages, kvHeads, PAGE, headDim] */
export function placeOf(
  { kvHeads, headDim }: HeadsShape,
  pages: readonly number[],
  kvHead: number,
  position: number,
): number {
  return ((pages[Math.floor(position / PAGE)] * kvHeads + kvHead) * PAGE + (position % PAGE)) * headDim;
}

/** One head, normalised where it is asked for, then rotated. */
function turned(
  { headDim, normEps }: RotateShape,
  { table }: RotateInputs,
  head: Float32Array,
  position: number,
  norm: Float32Array | undefined,
): Float32Array {
  const square = head.reduce((sum, x) => sum + x * x, 0);
  const scale = normEps === null ? 1 : 1 / Math.sqrt(square / headDim + normEps);
  const x = head.map((value, i) => value * (normEps === null ? 1 : scale * norm![i]));
  const half = headDim / 2;
  return x.map((value, i) => {
    const at = 2 * (position * half + (i % half));
    return i < half ? value * table[at] - x[i + half] * table[at + 1] : value * table[at] + x[i - half] * table[at + 1];
  });
}
