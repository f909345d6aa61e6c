/**
 * Causal attention of packed sequences, forward and backward, a chunk of query rows at a time: what a chunk's queries make
 * of the keys stands in a scratch of [rows of the chunk, heads, stride] by the keys' positions and is gone with the next;
 * only the logarithm of each row's mass is kept. Queries come in tiles of rows of one sequence, keys likewise; where
 * sequences begin alike, the shared keys come first and the tile says how many. All sums are a thread's own.
 * P = e^(cS - lse), c = 1/√headDim; dV = PᵀdO; dS = c P (dO Vᵀ - rowsum(dO O)); dQ = dS K; dK = dSᵀ Q.
 * Source: Dao 2023, "FlashAttention-2", alg. 1 and 2.
 */
import { FLOATS, storedGradient } from '../activation.ts';
import { itemOfThread, rowOfThread, rowShader, sizedKernel, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { each, fourOf, reads, texels, writes } from '../wgsl.ts';

export type AttendShape = { readonly heads: number; readonly kvHeads: number; readonly headDim: number };

/** Query rows and keys of a tile. */
export const QUERY_TILE = 8;
export const KEY_TILE = 4;

/** How many words a tile has. Of queries: first row, rows, first row of the sequence, shared keys before it. */
const QUERY_FUNCTIONS = `
/** The row of a key, by its position in the tile's sequence. */
fn keyRow(tile: vec4u, position: u32) -> u32 {
  return select(tile.z + position - tile.w, position, position < tile.w);
}
/** The position of a tile's query. */
fn positionIn(tile: vec4u, i: u32) -> u32 { return tile.w + tile.x + i - tile.z; }`;

const counts = ({ heads, kvHeads, headDim }: AttendShape): Record<string, number> => ({
  ...{ HEADS: heads, KV_HEADS: kvHeads, GROUP: heads / kvHeads, D4: headDim / 4 },
});

export const SCORE_MODE = { scores: 0, weights: 1, gradient: 2 } as const;

/**
 * Products of a tile's queries with keys: raw scores c x·y; weights e^(c x·y - stat); or the gradient of the raw scores,
 * c p (x·y - stat) with x = dO, y = V and stat = rowsum(dO O). Keys a query may not see get 0. An item is four keys of a head
 * of a tile. Bindings: tiles, x [rows, heads, headDim], y [rows, kvHeads, headDim], stat [rows, heads], p, out (scratches).
 */
export function scoreRowsKernel(shape: AttendShape, cut: Cut, { four } = FLOATS): SizedKernel {
  const pairs = Array.from({ length: QUERY_TILE * KEY_TILE }, (_, i) => i);
  const [x, y] = ['x', 'y'].map((name) => (cut.handRound > 0 ? texels(name) : reads(name, four)));
  return sizedKernel(`scores of ${shape.heads} / ${shape.kvHeads} heads of ${shape.headDim}`, {
    bindings: [...[reads('tiles', 'vec4u'), x, y, reads('stats', 'f32')], ...[reads('p', 'f32'), writes('out', 'f32')]],
    counts: counts(shape),
    numbers: { SCALE: shape.headDim ** -0.5 },
    ...{ sizes: ['firstTile', 'firstRow', 'stride', 'mode'], threads: cut.threads, perGroup: cut.threads },
    functions: QUERY_FUNCTIONS,
    main: `${itemOfThread(cut)}
  let blocks = stride / ${KEY_TILE}u;
  let head = item / blocks % HEADS;
  let tile = tiles[firstTile + item / blocks / HEADS];
  let key = item % blocks * ${KEY_TILE}u;
  let last = positionIn(tile, tile.y - 1u);
  if (key > last) { return; }
${each(QUERY_TILE, '  let a# = ((tile.x + min(#u, tile.y - 1u)) * HEADS + head) * D4;')}
${each(KEY_TILE, '  let b# = (keyRow(tile, min(key + #u, last)) * KV_HEADS + head / GROUP) * D4;')}
${pairs.map((i) => `  var s${i} = 0f;`).join('\n')}
  for (var d = 0u; d < turns(D4); d++) {
${each(QUERY_TILE, `    let x# = ${fourOf(x, 'a# + d')};`)}
${each(KEY_TILE, `    let w# = ${fourOf(y, 'b# + d')};`)}
${pairs.map((i) => `    s${i} += dot(x${Math.floor(i / KEY_TILE)}, w${i % KEY_TILE});`).join('\n')}
  }
  var sums = array<f32, ${pairs.length}>(${pairs.map((i) => `s${i}`).join(', ')});
  for (var i = 0u; i < tile.y; i++) {
    let row = tile.x + i;
    let stat = select(0f, stats[row * HEADS + head], mode > 0u);
    for (var j = 0u; j < ${KEY_TILE}u; j++) {
      let at = ((row - firstRow) * HEADS + head) * stride + key + j;
      let sum = sums[i * ${KEY_TILE}u + j];
      var value = SCALE * sum;
      if (mode == ${SCORE_MODE.weights}u) { value = exp(min(value - stat, 0f)); }
      else if (mode == ${SCORE_MODE.gradient}u) { value = SCALE * p[at] * (sum - stat); }
      out[at] = select(0f, value, key + j <= positionIn(tile, i));
    }
  }`,
  });
}

/** Scores to weights, in place, and the logarithm of their mass. An item is a head of a row of the chunk. Bindings: positions [rows], p, lse [rows, heads]. */
export function weighRowsKernel(shape: AttendShape, cut: Cut): SizedKernel {
  return sizedKernel(`weights of ${shape.heads} heads`, {
    ...rowShader(cut),
    bindings: [reads('positions', 'u32'), writes('p', 'f32'), writes('lse', 'f32')],
    counts: { HEADS: shape.heads, TEAM: cut.team },
    sizes: ['firstRow', 'stride'],
    main: `${rowOfThread(cut)}
  let at = row * stride;
  let keys = positions[firstRow + row / HEADS] + 1u;
  var best = -1e30;
  for (var i = place; i < keys; i += TEAM) { best = max(best, p[at + i]); }
  best = highest(best, thread);
  var mass = 0f;
  for (var i = place; i < keys; i += TEAM) { mass += exp(p[at + i] - best); }
  let all = best + log(total(mass, thread));
  for (var i = place; i < keys; i += TEAM) { p[at + i] = exp(p[at + i] - all); }
  if (place == 0u) { lse[firstRow * HEADS + row] = all; }`,
  });
}

/** Sums of keys' rows, weighed for each query: the mixed values, or the gradient of the queries. An item is four dimensions of a head of a tile. Bindings: tiles, p (scratch), x [rows, kvHeads, headDim], y [rows, heads, headDim]. */
export function mixRowsKernel(shape: AttendShape, cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel(`mix for ${shape.heads} / ${shape.kvHeads} heads of ${shape.headDim}`, {
    bindings: [reads('tiles', 'vec4u'), reads('p', 'f32'), reads('x', four), writes('y', four)],
    counts: counts(shape),
    ...{ sizes: ['firstTile', 'firstRow', 'stride'], threads: cut.threads, perGroup: cut.threads },
    functions: QUERY_FUNCTIONS,
    main: `${itemOfThread(cut)}
  let d = item % D4;
  let head = item / D4 % HEADS;
  let tile = tiles[firstTile + item / D4 / HEADS];
${each(QUERY_TILE, '  let a# = ((tile.x + min(#u, tile.y - 1u) - firstRow) * HEADS + head) * stride;')}
${each(QUERY_TILE, '  var s# = vec4f();')}
  for (var key = 0u; key <= positionIn(tile, tile.y - 1u); key++) {
    let v = vec4f(x[(keyRow(tile, key) * KV_HEADS + head / GROUP) * D4 + d]);
${each(QUERY_TILE, '    s# = fma(vec4f(p[a# + key]), v, s#);')}
  }
  var sums = array<vec4f, ${QUERY_TILE}>(${Array.from({ length: QUERY_TILE }, (_, i) => `s${i}`).join(', ')});
  for (var i = 0u; i < tile.y; i++) { y[((tile.x + i) * HEADS + head) * D4 + d] = ${storedGradient(four, 'sums[i]')}; }`,
  });
}

/**
 * The other way: sums of queries' rows, weighed for each key, over all that see it and all heads of its group; the gradient of
 * values and keys. Tiles of keys: first row, rows, end of the rows that see them, position of the first. With `add`, on top
 * of what earlier chunks left. An item is four dimensions of a tile of a kv head. Bindings: tiles, p (scratch), x [rows,
 * heads, headDim], y [rows, kvHeads, headDim].
 */
export function mixKeysKernel(shape: AttendShape, cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel(`mix for keys of ${shape.heads} / ${shape.kvHeads} heads of ${shape.headDim}`, {
    bindings: [reads('tiles', 'vec4u'), reads('p', 'f32'), reads('x', four), writes('y', four)],
    counts: counts(shape),
    ...{ sizes: ['firstRow', 'endRow', 'stride', 'add'], threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  let d = item % D4;
  let kvHead = item / D4 % KV_HEADS;
  let tile = tiles[item / D4 / KV_HEADS];
${each(KEY_TILE, '  var s# = vec4f();')}
  for (var row = max(tile.x, firstRow); row < min(tile.z, endRow); row++) {
    for (var head = kvHead * GROUP; head < (kvHead + 1u) * GROUP; head++) {
      let at = ((row - firstRow) * HEADS + head) * stride + tile.w;
      let v = vec4f(x[(row * HEADS + head) * D4 + d]);
${each(KEY_TILE, '      s# = fma(vec4f(select(0f, p[at + #u], tile.x + #u <= row)), v, s#);')}
    }
  }
  var sums = array<vec4f, ${KEY_TILE}>(${Array.from({ length: KEY_TILE }, (_, i) => `s${i}`).join(', ')});
  for (var i = 0u; i < tile.y; i++) {
    let at = ((tile.x + i) * KV_HEADS + kvHead) * D4 + d;
    let all = sums[i] + select(vec4f(), vec4f(y[at]), add == 1u);
    y[at] = ${storedGradient(four, 'all')};
  }`,
  });
}

/** rowsum(x y) of every head of every row. Bindings: x and y [rows, heads, headDim], out [rows, heads]. */
export function rowDotsKernel({ headDim }: AttendShape, cut: Cut, { four } = FLOATS): SizedKernel {
  return sizedKernel(`row dots of ${headDim}`, {
    bindings: [reads('x', four), reads('y', four), writes('out', 'f32')],
    ...{ counts: { D4: headDim / 4 }, threads: cut.threads, perGroup: cut.threads },
    main: `${itemOfThread(cut)}
  var sum = 0f;
  for (var d = 0u; d < turns(D4); d++) { sum += dot(vec4f(x[item * D4 + d]), vec4f(y[item * D4 + d])); }
  out[item] = sum;`,
  });
}

/** Which rows each row sees: its sequence's first row and how many shared rows come before it. */
export type Sight = { readonly begin: number; readonly before: number };

export type AttendInputs = { readonly [name in 'q' | 'k' | 'v']: Float32Array };

/** softmax(q Kᵀ / √headDim) V in plain loops. // [rows, heads, headDim] */
export function attendReference(
  { heads, kvHeads, headDim }: AttendShape,
  sights: readonly Sight[],
  { q, k, v }: AttendInputs,
): Float32Array {
  const out = new Float32Array(q.length);
  for (const [row, { begin, before }] of sights.entries()) {
    const keys = [...Array(before).keys(), ...Array.from({ length: row - begin + 1 }, (_, i) => begin + i)];
    for (let head = 0; head < heads; head++) {
      const at = (row * heads + head) * headDim;
      const placeOf = (key: number): number => (key * kvHeads + Math.floor((head * kvHeads) / heads)) * headDim;
      const scores = keys.map((key) => {
        let sum = 0;
        for (let d = 0; d < headDim; d++) sum += q[at + d] * k[placeOf(key) + d];
        return sum * headDim ** -0.5;
      });
      const best = Math.max(...scores);
      const mass = scores.reduce((sum, score) => sum + Math.exp(score - best), 0);
      for (const [i, key] of keys.entries()) {
        for (let d = 0; d < headDim; d++) out[at + d] += (Math.exp(scores[i] - best) / mass) * v[placeOf(key) + d];
      }
    }
  }
  return out;
}
