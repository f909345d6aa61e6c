/**
 * RMS norm and its gradients: y = x · r · w with r = 1 / sqrt(mean(x²) + eps). In plain operations it is six passes over
 * memory forward and a dozen back. Columns are a multiple of 4. Source: Zhang & Sennrich 2019, eq. 4.
 */
import {
  type Assembler,
  type Code,
  type Func,
  f32,
  f32x4,
  get,
  i32,
  range,
  set,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { job } from './job.ts';
import { advance, ROW_ARGS, rowsJob, sumLanes } from './row-jobs.ts';

/** p0 x, p1 w, p2 y, p3 r [rows]; number eps. */
export function rmsNormJob(module: Assembler): Func {
  return rowsJob(module, ({ word, number, row, cols, rowOf, i32s, vectors, floats }) => {
    const [j, x, w, y] = i32s(4);
    const [sum, v] = vectors(2);
    const [r] = floats(1);
    return [
      set(sum, v128.zero),
      set(x, rowOf('p0')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(v, v128.load(get(x))),
        set(sum, f32x4.add(get(sum), f32x4.mul(get(v), get(v)))),
        advance(x),
      ]),
      set(r, f32.div(f32.of(1), f32.sqrt(f32.add(f32.div(sumLanes(sum), f32.ofI32(get(cols))), number)))),
      f32.store(i32.add(word('p3'), i32.shl(get(row), i32.of(2))), get(r)),
      set(x, rowOf('p0')),
      set(y, rowOf('p2')),
      set(w, word('p1')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        v128.store(get(y), f32x4.mul(f32x4.mul(v128.load(get(x)), f32x4.splat(get(r))), v128.load(get(w)))),
        advance(x, w, y),
      ]),
    ];
  });
}

/** dx = r·w·dy - x·r³·mean(w·dy·x). p0 x, p1 w, p2 dy, p3 r, p4 dx. */
export function rmsNormGradJob(module: Assembler): Func {
  return rowsJob(module, ({ word, row, cols, rowOf, i32s, vectors, floats }) => {
    const [j, x, w, dy, dx] = i32s(5);
    const [sum] = vectors(1);
    const [r, back] = floats(2);
    return [
      set(sum, v128.zero),
      set(x, rowOf('p0')),
      set(dy, rowOf('p2')),
      set(w, word('p1')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(sum, f32x4.add(get(sum), f32x4.mul(f32x4.mul(v128.load(get(w)), v128.load(get(dy))), v128.load(get(x))))),
        advance(x, dy, w),
      ]),
      set(r, f32.load(i32.add(word('p3'), i32.shl(get(row), i32.of(2))))),
      set(back, f32.div(f32.mul(f32.mul(get(r), get(r)), f32.mul(get(r), sumLanes(sum))), f32.ofI32(get(cols)))),
      set(x, rowOf('p0')),
      set(dy, rowOf('p2')),
      set(dx, rowOf('p4')),
      set(w, word('p1')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        v128.store(
          get(dx),
          f32x4.sub(
            f32x4.mul(f32x4.mul(v128.load(get(w)), v128.load(get(dy))), f32x4.splat(get(r))),
            f32x4.mul(v128.load(get(x)), f32x4.splat(get(back))),
          ),
        ),
        advance(x, dy, dx, w),
      ]),
    ];
  });
}

/** Columns of one piece of the weight's gradient. */
export const WEIGHT_GRAD_COLUMNS = 16;

/** dw[j] = sum over rows of dy·x·r. p0 x, p2 dy, p3 r, p4 dw; a piece is 16 columns, and cols a multiple of 4. */
export function rmsNormWeightGradJob(module: Assembler): Func {
  return job(module, ROW_ARGS, ({ piece, word, i32s, vectors }) => {
    const [i, j, end, x, dy, r, stride] = i32s(7);
    const [sum] = vectors(1);
    const column = (name: 'p0' | 'p2' | 'p4'): Code => i32.add(word(name), i32.shl(get(j), i32.of(2)));
    return [
      set(stride, i32.shl(word('cols'), i32.of(2))),
      set(j, i32.mul(get(piece), i32.of(WEIGHT_GRAD_COLUMNS))),
      set(end, i32.add(get(j), i32.of(WEIGHT_GRAD_COLUMNS))),
      when(i32.gt(get(end), word('cols')), set(end, word('cols'))),
      whileLoop(i32.lt(get(j), get(end)), [
        set(sum, v128.zero),
        set(x, column('p0')),
        set(dy, column('p2')),
        set(r, word('p3')),
        range(i, i32.of(0), word('rows'), i32.of(1), [
          set(
            sum,
            f32x4.add(get(sum), f32x4.mul(f32x4.mul(v128.load(get(x)), v128.load(get(dy))), v128.loadSplat(get(r)))),
          ),
          set(x, i32.add(get(x), get(stride))),
          set(dy, i32.add(get(dy), get(stride))),
          set(r, i32.add(get(r), i32.of(4))),
        ]),
        v128.store(column('p4'), get(sum)),
        set(j, i32.add(get(j), i32.of(4))),
      ]),
    ];
  });
}
