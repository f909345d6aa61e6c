/**
 * What attention does between its products: softmax under the causal mask with its gradient, and rotary positions.
 * Source: Vaswani et al. 2017, eq. 1; Su et al. 2021, eq. 34.
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
  memory,
  range,
  set,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { exp4 } from './elementwise.ts';
import { advance, rowsJob, splat, sumLanes } from './row-jobs.ts';

/** Row r of a block of `period` rows sees the first r + 1 + p2 keys. p0 x, p1 y; p2 a count, not an address; number scale. Keys beyond get exactly 0. */
export function causalSoftmaxJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ word, number, scratch, row, cols, rowOf, i32s, vectors, floats }) => {
    const [j, x, y, seen, left] = i32s(5);
    const [v, r, n, sum] = vectors(4);
    const [most, scale] = floats(2);
    const weigh: Code = [
      set(v, f32x4.mul(f32x4.sub(get(v), f32x4.splat(get(most))), f32x4.splat(get(scale)))),
      exp4(relaxed, v, r, n),
      set(sum, f32x4.add(get(sum), get(v))),
    ];
    const tailBytes = i32.shl(get(left), i32.of(2));
    return [
      set(scale, number),
      set(seen, i32.add(i32.add(i32.rem(get(row), word('period')), i32.of(1)), word('p2'))),
      when(i32.gt(get(seen), get(cols)), set(seen, get(cols))),
      set(x, rowOf('p0')),
      set(most, f32.load(get(x))),
      range(j, i32.of(0), get(seen), i32.of(1), [
        set(most, f32.max(get(most), f32.load(get(x)))),
        set(x, i32.add(get(x), i32.of(4))),
      ]),
      set(x, rowOf('p0')),
      set(y, rowOf('p1')),
      set(sum, v128.zero),
      set(left, get(seen)),
      whileLoop(i32.ge(get(left), i32.of(4)), [
        set(v, v128.load(get(x))),
        weigh,
        v128.store(get(y), get(v)),
        advance(x, y),
        set(left, i32.sub(get(left), i32.of(4))),
      ]),
      when(get(left), [
        v128.store(get(scratch), splat(-1e30)),
        memory.copy(get(scratch), get(x), tailBytes),
        set(v, v128.load(get(scratch))),
        weigh,
        v128.store(get(scratch), get(v)),
        memory.copy(get(y), get(scratch), tailBytes),
      ]),
      set(most, f32.div(f32.of(1), sumLanes(sum))),
      set(y, rowOf('p1')),
      set(left, get(seen)),
      whileLoop(i32.ge(get(left), i32.of(4)), [
        v128.store(get(y), f32x4.mul(v128.load(get(y)), f32x4.splat(get(most)))),
        advance(y),
        set(left, i32.sub(get(left), i32.of(4))),
      ]),
      whileLoop(get(left), [
        f32.store(get(y), f32.mul(f32.load(get(y)), get(most))),
        set(y, i32.add(get(y), i32.of(4))),
        set(left, i32.sub(get(left), i32.of(1))),
      ]),
      memory.fill(get(y), i32.of(0), i32.shl(i32.sub(get(cols), get(seen)), i32.of(2))),
    ];
  });
}

/** dx = scale · y · (dy - sum(dy · y)). p0 y, p1 dy, p2 dx; number scale. */
export function softmaxGradJob(module: Assembler): Func {
  return rowsJob(module, ({ number, cols, rowOf, i32s, vectors, floats }) => {
    const [y, dy, dx, left] = i32s(4);
    const [sum] = vectors(1);
    const [dot] = floats(1);
    const restart: Code = [set(y, rowOf('p0')), set(dy, rowOf('p1')), set(left, get(cols))];
    const passes = (four: Code, one: Code, ...pointers: Local[]): Code => [
      whileLoop(i32.ge(get(left), i32.of(4)), [four, advance(...pointers), set(left, i32.sub(get(left), i32.of(4)))]),
      whileLoop(get(left), [
        one,
        pointers.map((p) => set(p, i32.add(get(p), i32.of(4)))),
        set(left, i32.sub(get(left), i32.of(1))),
      ]),
    ];
    return [
      restart,
      set(sum, v128.zero),
      set(dot, f32.of(0)),
      passes(
        set(sum, f32x4.add(get(sum), f32x4.mul(v128.load(get(y)), v128.load(get(dy))))),
        set(dot, f32.add(get(dot), f32.mul(f32.load(get(y)), f32.load(get(dy))))),
        y,
        dy,
      ),
      set(dot, f32.add(get(dot), sumLanes(sum))),
      restart,
      set(dx, rowOf('p2')),
      passes(
        v128.store(
          get(dx),
          f32x4.mul(
            f32x4.mul(v128.load(get(y)), f32x4.sub(v128.load(get(dy)), f32x4.splat(get(dot)))),
            f32x4.splat(number),
          ),
        ),
        f32.store(get(dx), f32.mul(f32.mul(f32.load(get(y)), f32.sub(f32.load(get(dy)), get(dot))), number)),
        y,
        dy,
        dx,
      ),
    ];
  });
}

/**
 * A row is one head of one token; cols (the head's size) a multiple of 8. First half: x·cos - x'·sin, second: x·cos + x'·sin,
 * with x' the other half. p0 x, p1 cos, p2 sin (both [positions, cols], halves equal), p3 y; period: heads times positions;
 * number: 1, or -1 for the gradient, which turns back. p4 holds the number of heads, not an address.
 */
export function ropeJob(module: Assembler): Func {
  return rowsJob(module, ({ word, number, row, cols, rowOf, i32s, vectors }) => {
    const [j, x, y, cos, sin, half] = i32s(6);
    const [a, b, c, s] = vectors(4);
    const position = i32.mul(i32.div(i32.rem(get(row), word('period')), word('p4')), get(cols));
    const other = (p: Local): Code => i32.add(get(p), get(half));
    return [
      set(half, i32.shl(get(cols), i32.of(1))), // bytes of half a head
      set(x, rowOf('p0')),
      set(y, rowOf('p3')),
      set(cos, i32.add(word('p1'), i32.shl(position, i32.of(2)))),
      set(sin, i32.add(word('p2'), i32.shl(position, i32.of(2)))),
      range(j, i32.of(0), get(half), i32.of(16), [
        set(a, v128.load(get(x))),
        set(b, v128.load(other(x))),
        set(c, v128.load(get(cos))),
        set(s, f32x4.mul(v128.load(get(sin)), f32x4.splat(number))),
        v128.store(get(y), f32x4.sub(f32x4.mul(get(a), get(c)), f32x4.mul(get(b), get(s)))),
        v128.store(other(y), f32x4.add(f32x4.mul(get(b), get(c)), f32x4.mul(get(a), get(s)))),
        advance(x, y, cos, sin),
      ]),
    ];
  });
}
