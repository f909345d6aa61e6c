/**
 * One token's query heads against its slot of the cache, up to and including its own position. A workgroup takes one head
 * of one row and walks the keys a team at a time: each thread scores one key, then all add the weighted values, rescaling
 * what they have when a larger score turns up. Rows may be new tokens of a batch or the many tokens of a prompt.
 * Source: Milakov & Gimelshein 2018, alg. 3 (online softmax); Ainslie et al. 2023 (grouped queries).
 */
import { kernel, type Kernel, type Tuning } from '../kernel.ts';
import { STEP, STEP_FUNCTIONS, type StepRow } from '../step.ts';
import { each, reads, writes } from '../wgsl.ts';
import type { HeadsShape } from './rotate.ts';

/** Bindings: step, q [rows, heads, headDim], k and v [slots, kvHeads, capacity, headDim], y [rows, heads, headDim]. */
export function attentionKernel({ heads, kvHeads, headDim, capacity }: HeadsShape, tuning: Tuning): Kernel {
  const { team, handRound } = tuning;
  const share = handRound ? SHARE_IN_SUBGROUP : SHARE_IN_MEMORY;
  const own = Math.ceil(headDim / team);
  const ragged = headDim % team !== 0;
  return kernel(
    `attention ${heads} / ${kvHeads} heads of ${headDim}`,
    {
      bindings: [STEP, reads('q', 'vec4f'), reads('k', 'vec4f'), reads('v', 'f32'), writes('y', 'f32')],
      counts: {
        ...{ HEADS: heads, GROUP: heads / kvHeads, KV_HEADS: kvHeads },
        ...{ DIM: headDim, D4: headDim / 4, CAPACITY: capacity, TEAM: team },
      },
      numbers: { SCALE: headDim ** -0.5 },
      shared: handRound ? {} : { scores: team, weights: team },
      threads: team,
      subgroups: handRound,
      functions: STEP_FUNCTIONS,
      main: `
  let head = group.x;
  let row = group.y;
  if (row >= stepRows()) { return; }
  let keys = positionOf(row) + 1u;
  let cached = (slotOf(row) * KV_HEADS + head / GROUP) * CAPACITY;
  let query = (row * HEADS + head) * D4;
  let fours = turns(D4);
${handRound ? '' : '  let team = turns(TEAM);'}
  var best = -1e30;
  var mass = 0f;
${each(own, `  let d# = ${ragged ? 'min(#u * TEAM + thread, DIM - 1u)' : '#u * TEAM + thread'};\n  var sum# = 0f;`)}
  for (var first = 0u; first < keys; first += TEAM) {
    let count = min(TEAM, keys - first);
    var score = -1e30;
    if (thread < count) {
      let at = (cached + first + thread) * D4;
      var part = vec4f();
      for (var i = 0u; i < fours; i++) { part = fma(q[query + i], k[at + i], part); }
      score = dot(part, vec4f(1)) * SCALE;
    }
${share.highest}
    let fade = exp(best - highest);
    best = highest;
    let mine = select(0f, exp(score - highest), thread < count);
${share.keep}
    mass *= fade;
${each(own, '    sum# *= fade;')}
    for (var j = 0u; j < count; j++) {
      let weight = ${share.take};
      let at = (cached + first + j) * DIM;
      mass += weight;
${each(own, '      sum# = fma(weight, v[at + d#], sum#);')}
    }
  }
  let to = (row * HEADS + head) * DIM;
${each(own, `  ${ragged ? 'if (#u * TEAM + thread < DIM) ' : ''}{ y[to + d#] = sum# / mass; }`)}`,
    },
    (rows) => [heads, rows],
  );
}

/** How a team learns its highest score and each other's weights. A team that is one vector, as an emulating adapter runs it, need not wait. */
const SHARE_IN_SUBGROUP = {
  highest: '    let highest = max(best, subgroupMax(score));',
  keep: '',
  take: 'subgroupShuffle(mine, j)',
};
const SHARE_IN_MEMORY = {
  highest: `    scores[thread] = score;
    workgroupBarrier();
    var highest = best;
    for (var j = 0u; j < team; j++) { highest = max(highest, scores[j]); }`,
  keep: `    weights[thread] = mine;
    workgroupBarrier();`,
  take: 'weights[j]',
};

export type AttentionInputs = {
  readonly rows: readonly StepRow[];
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
};

/** softmax(q Kᵀ / √headDim) V over positions 0 … position, in plain loops. // [rows, heads, headDim] */
export function attentionReference(shape: HeadsShape, { rows, q, k, v }: AttentionInputs): Float32Array {
  const { heads, kvHeads, headDim, capacity } = shape;
  const out = new Float32Array(q.length);
  for (const [row, { slot, position }] of rows.entries()) {
    for (let head = 0; head < heads; head++) {
      const query = q.subarray((row * heads + head) * headDim, (row * heads + head + 1) * headDim);
      const cached = (slot * kvHeads + Math.floor((head * kvHeads) / heads)) * capacity;
      const keyOf = (t: number): Float32Array => k.subarray((cached + t) * headDim, (cached + t + 1) * headDim);
      const scores = Array.from(
        { length: position + 1 },
        (_, t) => keyOf(t).reduce((sum, value, i) => sum + value * query[i], 0) * headDim ** -0.5,
      );
      const best = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - best));
      const mass = weights.reduce((a, b) => a + b, 0);
      for (const [t, weight] of weights.entries()) {
        for (let i = 0; i < headDim; i++)
          out[(row * heads + head) * headDim + i] += (weight / mass) * v[(cached + t) * headDim + i];
      }
    }
  }
  return out;
}
