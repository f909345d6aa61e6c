/**
 * What drawing a token needs of a row of logits: its largest, the weights e^(x - largest) at the temperature asked for, and
 * of every block of columns the sums from which probabilities, entropy and the place of a draw follow. A row is one thread's.
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
  set,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { exp4 } from './elementwise.ts';
import { job } from './job.ts';
import { splat, sumLanes } from './row-jobs.ts';

/**
 * Arguments of the job; a piece is a row. logits and weights [rows, cols], cols a multiple of 4; sharpness [rows], one over
 * the temperature; most [rows]; sums [rows, blocks, 3]: of e^s, of s e^s and of the weights e^(s sharpness), s = x - most.
 */
export const WEIGH_ARGS = { logits: 0, weights: 4, sharpness: 8, most: 12, sums: 16, cols: 20 } as const;

/** Columns of a block. */
export const WEIGHED = 512;

export function weighJob(module: Assembler, relaxed: boolean): Func {
  return job(module, WEIGH_ARGS, ({ piece: row, word, i32s, vectors }) => {
    const [x, end, blockEnd, out, sums] = i32s(5);
    const [most, s, w, r, n, sharp, sum, weighted, hot] = vectors(9);
    const [one] = i32s(1);
    const rowBytes = i32.shl(word('cols'), i32.of(2));
    const rowOf = (name: 'logits' | 'weights'): Code => i32.add(word(name), i32.mul(get(row), rowBytes));
    const ofRow = (name: 'sharpness' | 'most'): Code => i32.add(word(name), i32.shl(get(row), i32.of(2)));
    const blocks = i32.div(i32.add(word('cols'), i32.of(WEIGHED - 1)), i32.of(WEIGHED));
    const next = (pointer: Local, bytes: number): Code => set(pointer, i32.add(get(pointer), i32.of(bytes)));
    const largest: Code = [
      set(x, rowOf('logits')),
      set(end, i32.add(get(x), rowBytes)),
      set(most, v128.load(get(x))),
      whileLoop(i32.lt(get(x), get(end)), [set(most, f32x4.max(get(most), v128.load(get(x)))), next(x, 16)]),
      f32.store(
        ofRow('most'),
        f32.max(
          f32.max(f32x4.lane(get(most), 0), f32x4.lane(get(most), 1)),
          f32.max(f32x4.lane(get(most), 2), f32x4.lane(get(most), 3)),
        ),
      ),
      set(most, v128.loadSplat(ofRow('most'))),
    ];
    const four: Code = [
      set(s, f32x4.sub(v128.load(get(x)), get(most))),
      set(w, get(s)),
      exp4(relaxed, w, r, n),
      set(sum, f32x4.add(get(sum), get(w))),
      set(weighted, f32x4.add(get(weighted), f32x4.mul(get(w), get(s)))),
      when(i32.eqz(get(one)), [set(w, f32x4.mul(get(s), get(sharp))), exp4(relaxed, w, r, n)]),
      set(hot, f32x4.add(get(hot), get(w))),
      v128.store(get(out), get(w)),
      next(x, 16),
      next(out, 16),
    ];
    return [
      largest,
      set(sharp, v128.loadSplat(ofRow('sharpness'))),
      set(one, f32.eq(f32.load(ofRow('sharpness')), f32.of(1))),
      set(x, rowOf('logits')),
      set(out, rowOf('weights')),
      set(sums, i32.add(word('sums'), i32.mul(get(row), i32.mul(blocks, i32.of(12))))),
      whileLoop(i32.lt(get(x), get(end)), [
        set(blockEnd, i32.add(get(x), i32.of(4 * WEIGHED))),
        when(i32.gt(get(blockEnd), get(end)), set(blockEnd, get(end))),
        [sum, weighted, hot].map((local) => set(local, splat(0))),
        whileLoop(i32.lt(get(x), get(blockEnd)), four),
        [sum, weighted, hot].map((local, i) => f32.store(get(sums), sumLanes(local), 4 * i)),
        next(sums, 12),
      ]),
    ];
  });
}
