/**
 * Second half of the head fused with sampling: merges a row's records, finds the run of tokens in which its random number
 * falls, computes that run's few logits again and takes the token: inverse-CDF sampling, as the host would draw. Log-prob and
 * entropy are of the untempered distribution. A row of sharpness 0 takes the likeliest token, the first of equals. Rows that
 * cut their distribution off are left to `draw-truncated.ts`.
 */
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type RowDraw } from '../step.ts';
import { formatCounts, formatFunctions, fourAt, scaleAt, type WeightFormat } from '../weight-format.ts';
import { reads, writes } from '../wgsl.ts';
import type { MatrixPart } from './embed.ts';
import { RECORD, RUN, runsOf } from './head-tiles.ts';

export type DrawShape = {
  readonly columns: number;
  readonly vocab: number;
  readonly parts: readonly MatrixPart[];
  /** How the head's weights lie. */
  readonly format: WeightFormat;
};

/**
 * Bindings: step, x [rows, columns], w0 … the head's parts, records, ids [rows], numbers [rows, 3]: id, log-prob, entropy.
 * A workgroup takes a row; each thread first merges a stretch of neighbouring records.
 */
export function drawKernel({ columns, vocab, parts, format }: DrawShape, { team }: Tuning): Kernel {
  return kernel(
    `draw from ${vocab}`,
    {
      bindings: [
        STEP,
        reads('x', 'vec4f'),
        ...parts.map((_, i) => reads(`w${i}`, format.element)),
        reads('records', 'f32'),
        writes('ids', 'i32'),
        writes('numbers', 'f32'),
      ],
      counts: {
        ...{ K4: columns / 4, VOCAB: vocab, RUN, RUNS: runsOf(vocab), RECORD, TEAM: team },
        ...formatCounts(format, columns),
        STRETCH: Math.ceil(runsOf(vocab) / team),
      },
      shared: { bests: team, tokens: team, masses: team, spreads: team, tempers: team, logits: RUN, found: 2 },
      threads: team,
      functions: [
        ...[STEP_FUNCTIONS, MERGE_FUNCTIONS, formatFunctions(format), logitFunction(parts, format)],
        ...[FIND_FUNCTION, TAKE_FUNCTION],
      ].join('\n'),
      main: `
  let row = group.x;
  if (row >= stepRows() || truncates(row)) { return; }
  let sharpness = sharpnessOf(row);
  var own = nothing();
  for (var run = thread * STRETCH; run < min((thread + 1u) * STRETCH, RUNS); run++) {
    own = merged(own, recordOf(row, run), sharpness);
  }
  keep(thread, own);
  workgroupBarrier();
  var whole = nothing();
  for (var i = 0u; i < turns(TEAM); i++) { whole = merged(whole, kept(i), sharpness); }
  if (thread == 0u) { find(row, whole, sharpness); }
  workgroupBarrier();
  let first = u32(found[0]);
  let count = select(min(RUN, VOCAB - first), 1u, sharpness == 0f);
  for (var j = thread; j < count; j += TEAM) { logits[j] = logit(row, first + j); }
  workgroupBarrier();
  if (thread == 0u) { take(row, first, count, whole, sharpness); }`,
    },
    (rows) => [rows, 1],
  );
}

/** Sums over some tokens, relative to the highest logit among them. */
export const MERGE_FUNCTIONS = `
struct Sums { best: f32, token: f32, mass: f32, spread: f32, temper: f32 }
fn nothing() -> Sums { return Sums(-1e30, 0f, 0f, 0f, 0f); }
fn merged(a: Sums, b: Sums, sharpness: f32) -> Sums {
  let best = max(a.best, b.best);
  let da = a.best - best;
  let db = b.best - best;
  return Sums(
    best,
    select(a.token, b.token, b.best > a.best),
    a.mass * exp(da) + b.mass * exp(db),
    (a.spread + da * a.mass) * exp(da) + (b.spread + db * b.mass) * exp(db),
    a.temper * exp(sharpness * da) + b.temper * exp(sharpness * db),
  );
}
fn recordOf(row: u32, run: u32) -> Sums {
  let at = (row * RUNS + run) * RECORD;
  return Sums(records[at], records[at + 1u], records[at + 2u], records[at + 3u], records[at + 4u]);
}
fn keep(i: u32, sums: Sums) {
  bests[i] = sums.best;
  tokens[i] = sums.token;
  masses[i] = sums.mass;
  spreads[i] = sums.spread;
  tempers[i] = sums.temper;
}
fn kept(i: u32) -> Sums { return Sums(bests[i], tokens[i], masses[i], spreads[i], tempers[i]); }`;

/** Leaves the first token to look at and the mass of all before it. Where rounding leaves no run above the draw, the last. */
const FIND_FUNCTION = `
fn find(row: u32, whole: Sums, sharpness: f32) {
  found[0] = whole.token;
  found[1] = 0f;
  if (sharpness == 0f) { return; }
  let target_mass = drawOf(row) * whole.temper;
  var before = 0f;
  var stretch = 0u;
  for (; stretch < turns(TEAM - 1u); stretch++) {
    let mass = tempers[stretch] * exp(sharpness * (bests[stretch] - whole.best));
    if (before + mass > target_mass || (stretch + 1u) * STRETCH >= RUNS) { break; }
    before += mass;
  }
  var run = stretch * STRETCH;
  let end = min(run + STRETCH, RUNS);
  for (; run < end - 1u; run++) {
    let own = recordOf(row, run);
    let mass = own.temper * exp(sharpness * (own.best - whole.best));
    if (before + mass > target_mass) { break; }
    before += mass;
  }
  found[0] = f32(run * RUN);
  found[1] = before;
}`;

const TAKE_FUNCTION = `
fn take(row: u32, first: u32, count: u32, whole: Sums, sharpness: f32) {
  let target_mass = drawOf(row) * whole.temper;
  var before = found[1];
  var own = 0u;
  for (; own < count - 1u; own++) {
    before += exp(sharpness * (logits[own] - whole.best));
    if (before > target_mass) { break; }
  }
  let log_mass = log(whole.mass);
  ids[row] = i32(first + own);
  numbers[row * 3u] = f32(first + own);
  numbers[row * 3u + 1u] = logits[own] - whole.best - log_mass;
  numbers[row * 3u + 2u] = log_mass - whole.spread / whole.mass;
}`;

/** One token's logit, from the part of the head it lies in. */
function logitFunction(parts: readonly MatrixPart[], format: WeightFormat): string {
  const one = ({ first, count }: MatrixPart, i: number): string => {
    const scale = format.blocked ? `let scale = ${scaleAt(`w${i}`, count, 'own', 'k')};` : '';
    return `${i < parts.length - 1 ? `if (token < ${first + count}u) ` : ''}{
    let own = token - ${first}u;
    for (var k = 0u; k < turns(K4); k++) {
      ${scale}
      sum = fma(${fourAt(format, `w${i}`, 'own * ROW', 'k', 'scale')}, x[row * K4 + k], sum);
    }
  }`;
  };
  return `
fn logit(row: u32, token: u32) -> f32 {
  var sum = vec4f();
  ${parts.map(one).join(' else ')}
  return dot(sum, vec4f(1));
}`;
}

export type DrawInputs = { readonly draws: readonly RowDraw[]; readonly x: Float32Array; readonly w: Float32Array };

/** The same from all logits at once. w: [vocab, columns] -> [rows, 3] */
export function drawReference({ columns, vocab }: DrawShape, { draws, x, w }: DrawInputs): Float32Array {
  const out = new Float32Array(draws.length * 3);
  for (const [row, { sharpness, draw }] of draws.entries()) {
    const logits = Array.from({ length: vocab }, (_, n) =>
      w.subarray(n * columns, (n + 1) * columns).reduce((sum, value, k) => sum + value * x[row * columns + k], 0),
    );
    const best = Math.max(...logits);
    const mass = logits.reduce((sum, z) => sum + Math.exp(z - best), 0);
    const spread = logits.reduce((sum, z) => sum + (z - best) * Math.exp(z - best), 0);
    const tempered = logits.map((z) => Math.exp(sharpness * (z - best)));
    const target = draw * tempered.reduce((a, b) => a + b, 0);
    let before = 0;
    const drawn = sharpness === 0 ? logits.indexOf(best) : tempered.findIndex((own) => (before += own) > target);
    const id = drawn < 0 ? vocab - 1 : drawn;
    out.set([id, logits[id] - best - Math.log(mass), Math.log(mass) - spread / mass], row * 3);
  }
  return out;
}
