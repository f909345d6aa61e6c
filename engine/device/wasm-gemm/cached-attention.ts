/**
 * Attention of new tokens to what a cache holds: scores, softmax and mix of one query head at a time, in scratch memory, so
 * that decoding writes no score to a tensor. Only positions that are filled are read, in a fixed order, so neither the
 * cache's capacity nor the other slots change a bit. Source: Vaswani et al. 2017, eq. 1; Ainslie et al. 2023.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  f32,
  f32x4,
  get,
  i32,
  range,
  set,
  v128,
  whileLoop,
} from './emit.ts';
import { exp4 } from './elementwise.ts';
import { job } from './job.ts';
import { transpose4 } from './pack.ts';
import { SCRATCH_BYTES } from './product.ts';
import { splat, sumLanes } from './row-jobs.ts';
import { madd } from './tile.ts';

/**
 * Arguments of the job; a piece is one query head of one row. q and out [rows, heads, dim], k and v [slots, heads / group,
 * capacity, dim], places [rows, 2] i32: a row's slot, and the last position it looks at; dim a multiple of 8.
 */
export const CACHED_ARGS = {
  q: 0, k: 4, v: 8, out: 12, places: 16, heads: 20, group: 24, dim: 28, capacity: 32,
} as const; // prettier-ignore

/** Positions whose scores scratch memory holds. */
export const MOST_CACHED = (SCRATCH_BYTES >> 2) - 4;

/** Dimensions mixed together: so many sums as stay in registers. */
const MIXED = 32;

export function cachedAttentionJob(module: Assembler, relaxed: boolean): Func {
  const fma = madd(relaxed);
  return job(module, CACHED_ARGS, ({ scratch, piece, word, i32s, vectors }) => {
    const [place, head, seen, row, q, keys, values, out] = i32s(8);
    const [at, d, j, left, to] = i32s(5);
    const [v, r, n, sum, most, scale] = vectors(6);
    const four = vectors(4);
    const mixed = vectors(4);
    const sums = vectors(MIXED / 4);
    const floats = i32.shl(get(seen), i32.of(2));

    /** Scores of `count` keys from `keys` on, in one vector, or one number in its first lane. */
    const score = (count: 1 | 4): Code => [
      four.slice(0, count).map((s) => set(s, v128.zero)),
      range(d, i32.of(0), get(row), i32.of(16), [
        set(v, v128.load(i32.add(get(q), get(d)))),
        set(at, i32.add(get(keys), get(d))),
        four
          .slice(0, count)
          .map((s, i) => [
            i > 0 ? set(at, i32.add(get(at), get(row))) : [],
            set(s, fma(get(v), v128.load(get(at)), get(s))),
          ]),
      ]),
      set(keys, i32.add(get(keys), i32.mul(get(row), i32.of(count)))),
    ];
    const scores: Code = [
      set(to, get(scratch)),
      set(left, get(seen)),
      whileLoop(i32.ge(get(left), i32.of(4)), [
        score(4),
        // Lanes are added as `sumLanes` does: (0 + 1) + (2 + 3).
        columnsInPairs(four, mixed, v),
        v128.store(get(to), f32x4.mul(get(v), get(scale))),
        set(to, i32.add(get(to), i32.of(16))),
        set(left, i32.sub(get(left), i32.of(4))),
      ]),
      // What fills up the last vector weighs nothing.
      v128.store(get(to), splat(-1e30)),
      whileLoop(get(left), [
        score(1),
        f32.store(get(to), f32.mul(sumLanes(four[0]!), f32x4.lane(get(scale), 0))),
        set(to, i32.add(get(to), i32.of(4))),
        set(left, i32.sub(get(left), i32.of(1))),
      ]),
    ];
    const overScores = (body: Code): Code => range(j, i32.of(0), floats, i32.of(16), body);
    const weight = i32.add(get(scratch), get(j));
    const softmax: Code = [
      set(most, v128.load(get(scratch))),
      overScores(set(most, f32x4.max(get(most), v128.load(weight)))),
      set(
        most,
        f32x4.splat(
          f32.max(
            f32.max(f32x4.lane(get(most), 0), f32x4.lane(get(most), 1)),
            f32.max(f32x4.lane(get(most), 2), f32x4.lane(get(most), 3)),
          ),
        ),
      ),
      set(sum, v128.zero),
      overScores([
        set(v, f32x4.sub(v128.load(weight), get(most))),
        exp4(relaxed, v, r, n),
        v128.store(weight, get(v)),
        set(sum, f32x4.add(get(sum), get(v))),
      ]),
      set(sum, f32x4.div(splat(1), f32x4.splat(sumLanes(sum)))),
    ];
    /** The next `4 * count` dimensions of the output. */
    const mix = (count: number): Code => [
      sums.slice(0, count).map((s) => set(s, v128.zero)),
      set(at, i32.add(get(values), get(d))),
      range(j, i32.of(0), floats, i32.of(4), [
        set(v, v128.loadSplat(weight)),
        sums.slice(0, count).map((s, i) => set(s, fma(get(v), v128.load(get(at), i * 16), get(s)))),
        set(at, i32.add(get(at), get(row))),
      ]),
      sums.slice(0, count).map((s, i) => v128.store(i32.add(get(out), get(d)), f32x4.mul(get(s), get(sum)), i * 16)),
      set(d, i32.add(get(d), i32.of(16 * count))),
    ];
    return [
      set(place, i32.add(word('places'), i32.shl(i32.div(get(piece), word('heads')), i32.of(3)))),
      set(head, i32.rem(get(piece), word('heads'))),
      set(row, i32.shl(word('dim'), i32.of(2))),
      set(scale, f32x4.div(splat(1), f32x4.sqrt(f32x4.splat(f32.ofI32(word('dim')))))),
      set(seen, i32.add(i32.load(get(place), 4), i32.of(1))),
      set(q, i32.add(word('q'), i32.mul(get(piece), get(row)))),
      set(out, i32.add(word('out'), i32.mul(get(piece), get(row)))),
      // The first position of the slot's key-value head.
      set(at, i32.mul(i32.load(get(place)), i32.div(word('heads'), word('group')))),
      set(at, i32.mul(i32.add(get(at), i32.div(get(head), word('group'))), i32.mul(word('capacity'), get(row)))),
      set(keys, i32.add(word('k'), get(at))),
      set(values, i32.add(word('v'), get(at))),
      scores,
      softmax,
      set(d, i32.of(0)),
      whileLoop(i32.ge(i32.sub(get(row), get(d)), i32.of(4 * MIXED)), mix(MIXED / 4)),
      whileLoop(i32.gt(get(row), get(d)), mix(2)),
    ];
  });
}

/** Of four vectors the sums of each one's lanes, as the lanes of `into`. */
function columnsInPairs(rows: readonly Local[], mixed: readonly Local[], into: Local): Code {
  const [c0, c1, c2, c3] = transpose4(rows, mixed) as [Code, Code, Code, Code];
  return set(into, f32x4.add(f32x4.add(c0, c1), f32x4.add(c2, c3)));
}
