/**
 * One token's query heads against its sequence's pages of the cache, up to and including its own position. A workgroup takes one head
 * of one row, or all heads that read the same keys, and walks the keys a team at a time: each thread scores one key, then all
 * add the weighted values, rescaling what they have when a larger score turns up. Rows may be new tokens of a batch or the
 * many tokens of a prompt. Where few long sequences would leave a GPU idle, several workgroups take spans of a row's keys,
 * always the same ones for its length, and `combine` adds them up in order: one span comes to the bits that no span does.
 * Source: Milakov & Gimelshein 2018, alg. 3 (online softmax); Ainslie et al. 2023 (grouped queries); Dao et al. 2023,
 * "Flash-Decoding".
 */
import { activationOf, stored } from '../activation.ts';
import { fourKeys, keyFormatOf, keyFunctions, oneKey, type KeyFormat } from '../key-format.ts';
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { each, reads, writes, type Element } from '../wgsl.ts';
import { PAGE } from '../page-pool.ts';
import { placeOf, type HeadsShape } from './rotate.ts';

/** Spans of a cache of so many positions. */
export const spansOf = (capacity: number, span: number): number => Math.ceil(capacity / span);

/** Numbers of what a row leaves of its spans: of each the weighted sums, the highest score and the mass. */
export const spanNumbers = (
  { heads, headDim, capacity }: Pick<HeadsShape, 'heads' | 'headDim' | 'capacity'>,
  span: number,
): number => heads * spansOf(capacity, span) * (headDim + 2);

/**
 * Bindings: step, q [rows, heads, headDim], k and v [pages, kvHeads, PAGE, headDim], y [rows, heads, headDim], or with a
 * span [rows, heads, spans, headDim + 2]. Where loading is what costs, as on emulating adapters, heads of the same keys
 * share their loads; a GPU wants the workgroups.
 */
export function attentionKernel(shape: HeadsShape, tuning: Tuning, span: number | null = null): Kernel {
  const { heads, kvHeads, headDim, capacity } = shape;
  const { team, handRound } = tuning;
  if (span !== null && (handRound || span % team !== 0))
    throw new Error(`no spans of ${span} keys for a team of ${team}`);
  if (PAGE % team !== 0) throw new Error(`no pages of ${PAGE} keys for a team of ${team}`);
  const spans = span === null ? 1 : spansOf(capacity, span);
  const format = keyFormatOf(shape.keys);
  const { one, four } = activationOf(tuning.activations);
  const taken = handRound ? heads / kvHeads : 1;
  // Of a value, a thread of an emulating adapter takes four dimensions at a time: a load costs the same.
  const wide = handRound > 0;
  const across = wide ? headDim / 4 : headDim;
  const own = Math.ceil(across / team);
  const ragged = across % team !== 0;
  const { before, scores, highest, keep, take } = handRound
    ? inSubgroup(taken, Math.ceil(headDim / 4 / team), format)
    : inMemory(format);
  /** For every head (`@`), and of it for every dimension, or four, of a thread (`#`). */
  const forHeads = (line: string): string => Array.from({ length: taken }, (_, h) => line.replaceAll('@', `${h}`)).join('\n'); // prettier-ignore
  const forSums = (line: string): string => forHeads(each(own, line));
  return kernel(
    `attention ${heads} / ${kvHeads} heads of ${headDim}`,
    {
      bindings: [
        STEP,
        reads('q', four),
        reads('k', format.four),
        reads('v', wide ? format.four : format.one),
        writes('y', span === null ? one : 'f32'),
      ],
      counts: {
        ...{ HEADS: heads, GROUP: heads / kvHeads, KV_HEADS: kvHeads },
        ...{ DIM: headDim, D4: headDim / 4, ACROSS: across, PAGE, TEAM: team },
      },
      numbers: { SCALE: headDim ** -0.5 },
      shared: handRound ? {} : { scores: team, weights: team },
      threads: team,
      subgroups: handRound > 0,
      functions: STEP_FUNCTIONS + keyFunctions(format),
      main: `
  let head = group.x / ${spans}u * ${taken}u;
  let row = group.y;
  let start = group.x % ${spans}u * ${span ?? 0}u;
  if (row >= stepRows() || start > positionOf(row)) { return; }
  let keys = ${span === null ? 'positionOf(row) + 1u' : `min(positionOf(row) + 1u, start + ${span}u)`};
  let query = (row * HEADS + head) * D4;
  let team = turns(TEAM);
${before}
${forHeads('  var best@ = -1e30;\n  var mass@ = 0f;')}
${each(own, `  let d# = ${ragged ? 'min(#u * TEAM + thread, ACROSS - 1u)' : '#u * TEAM + thread'};`)}
${forSums(`  var sum@_# = ${wide ? 'vec4f()' : '0f'};`)}
  for (var first = start; first < keys; first += TEAM) {
    let count = min(TEAM, keys - first);
    let cached = (pageOf(row, first / PAGE) * KV_HEADS + head / GROUP) * PAGE + first % PAGE;
    let key = (cached + min(thread, count - 1u)) * D4;
${scores}
${forHeads(`    let score@ = select(-1e30, dot(part@, vec4f(1)) * SCALE, thread < count);
${highest}
    let fade@ = exp(best@ - highest@);
    best@ = highest@;
    let mine@ = select(0f, exp(score@ - highest@), thread < count);
${keep}
    mass@ *= fade@;`)}
${forSums('    sum@_# *= fade@;')}
    for (var j = 0u; j < count; j++) {
      let at = (cached + j) * ACROSS;
${each(own, `      let v# = ${wide ? fourKeys(format, 'v', 'at + d#') : oneKey(format, 'v', 'at', 'd#')};`)}
${forHeads(`      let weight@ = ${take};\n      mass@ += weight@;`)}
${forSums(`      sum@_# = fma(${wide ? 'vec4f(weight@)' : 'weight@'}, v#, sum@_#);`)}
    }
  }
${span === null ? whole(taken, own, wide, one) : part(own, spans)}`,
    },
    (rows) => [(heads / taken) * spans, rows],
  );
}

/** `own` sums of every head, each of one dimension or of four. */
function whole(taken: number, own: number, wide: boolean, element: Element): string {
  const parts = wide ? ['.x', '.y', '.z', '.w'] : [''];
  const every = own * parts.length;
  const sums = Array.from({ length: taken * every }, (_, i) => {
    const head = Math.floor(i / every);
    return `sum${head}_${Math.floor((i % every) / parts.length)}${parts[i % parts.length]} / mass${head}`;
  });
  return `
  let to = (row * HEADS + head) * DIM;
  var all = array<f32, ${sums.length}>(${sums.join(', ')});
  // In turns, since compiling what writes a number is dear on emulating adapters.
  for (var i = 0u; i < turns(${sums.length}u); i++) {
    let d = (i % ${every}u / ${parts.length}u * TEAM + thread) * ${parts.length}u + i % ${parts.length}u;
    if (d < DIM) { y[to + i / ${every}u * DIM + d] = ${stored(element, 'all[i]')}; }
  }`;
}

function part(own: number, spans: number): string {
  return `
  let to = ((row * HEADS + head) * ${spans}u + group.x % ${spans}u) * (DIM + 2u);
${each(own, '  if (#u * TEAM + thread < DIM) { y[to + #u * TEAM + thread] = sum0_#; }')}
  if (thread == 0u) { y[to + DIM] = best0; y[to + DIM + 1u] = mass0; }`;
}

/** Bindings: step, spans as `attentionKernel` leaves them, y [rows, heads, headDim]. A thread takes one dimension of a head. */
export function combineKernel(
  { heads, headDim, capacity }: HeadsShape,
  { threads, activations }: Tuning,
  span: number,
): Kernel {
  const { one } = activationOf(activations);
  return kernel(
    `combine ${heads} heads of ${headDim}`,
    {
      bindings: [STEP, reads('parts', 'f32'), writes('y', one)],
      counts: { ALL: heads * headDim, DIM: headDim, SPANS: spansOf(capacity, span) },
      threads,
      functions: STEP_FUNCTIONS,
      main: `
  let index = group.x * ${threads}u + thread;
  let row = group.y;
  if (index >= ALL || row >= stepRows()) { return; }
  let from_at = (row * ALL + index) / DIM * SPANS * (DIM + 2u);
  let spans = positionOf(row) / ${span}u + 1u;
  var best = -1e30;
  for (var i = 0u; i < spans; i++) { best = max(best, parts[from_at + i * (DIM + 2u) + DIM]); }
  var sum = 0f;
  var mass = 0f;
  for (var i = 0u; i < spans; i++) {
    let at = from_at + i * (DIM + 2u);
    let fade = exp(parts[at + DIM] - best);
    sum += fade * parts[at + index % DIM];
    mass += fade * parts[at + DIM + 1u];
  }
  y[row * ALL + index] = ${stored(one, 'sum / mass')};`,
    },
    (rows) => [Math.ceil((heads * headDim) / threads), rows],
  );
}

/** How a team scores its keys, learns its highest score and each other's weights. */
type Sharing = Readonly<Record<'before' | 'scores' | 'highest' | 'keep' | 'take', string>>;

const inMemory = (format: KeyFormat): Sharing => ({
  before: '  let fours = turns(D4);',
  scores: `    var part0 = vec4f();
    for (var i = 0u; i < fours; i++) { part0 = fma(vec4f(q[query + i]), ${fourKeys(format, 'k', 'key + i')}, part0); }`,
  highest: `    scores[thread] = score@;
    workgroupBarrier();
    var highest@ = best@;
    for (var j = 0u; j < team; j++) { highest@ = max(highest@, scores[j]); }`,
  keep: `    weights[thread] = mine@;
    workgroupBarrier();`,
  take: 'weights[j]',
});

/** A team that is one vector, as an emulating adapter runs it, need not wait, and each keeps a part of the queries for all: `fours` vec4f. */
function inSubgroup(taken: number, fours: number, format: KeyFormat): Sharing {
  const all = (line: string): string => Array.from({ length: taken }, (_, h) => line.replaceAll('@', `${h}`)).join('\n'); // prettier-ignore
  return {
    before: all(each(fours, '  let q@_# = vec4f(q[query + @u * D4 + min(#u * TEAM + thread, D4 - 1u)]);')),
    scores: `${all('    var part@ = vec4f();')}
${each(
  fours,
  `    for (var i = 0u; i < min(team, D4 - #u * TEAM); i++) {
      let k4 = ${fourKeys(format, 'k', 'key + #u * TEAM + i')};
${all('      part@ = fma(subgroupShuffle(q@_#, i), k4, part@);')}
    }`,
)}`,
    highest: '    let highest@ = max(best@, subgroupMax(score@));',
    keep: '',
    take: 'subgroupShuffle(mine@, j)',
  };
}

export type AttentionInputs = {
  readonly rows: readonly StepRow[];
  /** Of every slot. */
  readonly pages: readonly (readonly number[])[];
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
};

/** softmax(q Kᵀ / √headDim) V over positions 0 … position, in plain loops. // [rows, heads, headDim] */
export function attentionReference(shape: HeadsShape, { rows, pages, q, k, v }: AttentionInputs): Float32Array {
  const { heads, kvHeads, headDim } = shape;
  const out = new Float32Array(q.length);
  for (const [row, { slot, position }] of rows.entries()) {
    for (let head = 0; head < heads; head++) {
      const query = q.subarray((row * heads + head) * headDim, (row * heads + head + 1) * headDim);
      const placed = (t: number): number => placeOf(shape, pages[slot], Math.floor((head * kvHeads) / heads), t);
      const keyOf = (t: number): Float32Array => k.subarray(placed(t), placed(t) + headDim);
      const scores = Array.from(
        { length: position + 1 },
        (_, t) => keyOf(t).reduce((sum, value, i) => sum + value * query[i], 0) * headDim ** -0.5,
      );
      const best = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - best));
      const mass = weights.reduce((a, b) => a + b, 0);
      for (const [t, weight] of weights.entries()) {
        for (let i = 0; i < headDim; i++) out[(row * heads + head) * headDim + i] += (weight / mass) * v[placed(t) + i];
      }
    }
  }
  return out;
}
