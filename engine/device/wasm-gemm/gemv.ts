/**
 * One row of A: the product that decoding makes for every weight. Nothing is packed; B streams through once. Each output
 * takes its products in the order of k, so the bits equal those of the register tile.
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
} from './emit.ts';
import { transpose4 } from './pack.ts';
import { madd } from './tile.ts';

/** One scalar step with the tile's rounding: computed in a vector, since there is no scalar fused multiply-add. */
function scalarMadd(relaxed: boolean): (a: Code, b: Code, c: Code) => Code {
  const fma = madd(relaxed);
  return (a, b, c) => f32x4.lane(fma(f32x4.splat(a), f32x4.splat(b), f32x4.splat(c)), 0);
}

/**
 * rowTimesMatrix(a, aStride, b, bStride, c, n, k): c[n] = sum over k of a[k]·b[k][n], rows of b contiguous.
 * c is held in cache and passed over once for every four rows of b.
 */
export function rowTimesMatrix(module: Assembler, relaxed: boolean): Func {
  const fma = madd(relaxed);
  const one = scalarMadd(relaxed);
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [a, aStride, b, bStride, c, n, k] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const [t, j, at] = [scope.local('i32'), scope.local('i32'), scope.local('i32')];
    const rows = [0, 1, 2, 3].map(() => scope.local('i32'));
    const scales = [0, 1, 2, 3].map(() => scope.local('v128'));
    const sum = scope.local('v128');
    const sweep = (count: number): Code => [
      rows.slice(0, count).map((row, i) => set(row, i === 0 ? get(b) : i32.add(get(rows[i - 1]!), get(bStride)))),
      scales
        .slice(0, count)
        .map((scale) => [set(scale, v128.loadSplat(get(a))), set(a, i32.add(get(a), get(aStride)))]),
      set(b, i32.add(get(rows[count - 1]!), get(bStride))),
      set(at, get(c)),
      range(j, i32.of(0), i32.and(get(n), i32.of(-4)), i32.of(4), [
        set(sum, v128.load(get(at))),
        rows
          .slice(0, count)
          .map((row, i) => [
            set(sum, fma(get(scales[i]!), v128.load(get(row)), get(sum))),
            set(row, i32.add(get(row), i32.of(16))),
          ]),
        v128.store(get(at), get(sum)),
        set(at, i32.add(get(at), i32.of(16))),
      ]),
      range(j, i32.and(get(n), i32.of(-4)), get(n), i32.of(1), [
        rows
          .slice(0, count)
          .map((row, i) => [
            f32.store(get(at), one(f32x4.lane(get(scales[i]!), 0), f32.load(get(row)), f32.load(get(at)))),
            set(row, i32.add(get(row), i32.of(4))),
          ]),
        set(at, i32.add(get(at), i32.of(4))),
      ]),
    ];
    return [
      memory.fill(get(c), i32.of(0), i32.mul(get(n), i32.of(4))),
      range(t, i32.of(0), i32.and(get(k), i32.of(-4)), i32.of(4), sweep(4)),
      range(t, i32.and(get(k), i32.of(-4)), get(k), i32.of(1), sweep(1)),
    ];
  });
}

/** Columns taken together by `rowTimesTransposed`. */
export const TRANSPOSED_GROUP = 16;

/**
 * rowTimesTransposed(a, aStride, b, bStride, c, n, k): c[n] = sum over k of a[k]·b[n][k], for n a multiple of 16 first,
 * then single columns. Sixteen rows of b are read side by side and transposed 4×4 in registers.
 */
export function rowTimesTransposed(module: Assembler, relaxed: boolean): Func {
  const fma = madd(relaxed);
  const one = scalarMadd(relaxed);
  const groups = TRANSPOSED_GROUP / 4;
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [a, aStride, b, bStride, c, n, k] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const [t, j, at, row, from] = [0, 1, 2, 3, 4].map(() => scope.local('i32')) as [Local, Local, Local, Local, Local];
    const rows = [0, 1, 2, 3].map(() => scope.local('v128'));
    const mixed = [0, 1, 2, 3].map(() => scope.local('v128'));
    const scales = [0, 1, 2, 3].map(() => scope.local('v128'));
    const sums = Array.from({ length: groups }, () => scope.local('v128'));
    const single = scope.local('f32');
    const fours = i32.and(get(k), i32.of(-4));
    const block = (sum: Local): Code => [
      rows.map((r) => [set(r, v128.load(get(row))), set(row, i32.add(get(row), get(bStride)))]),
      transpose4(rows, mixed).map((column, u) => set(sum, fma(column, get(scales[u]!), get(sum)))),
    ];
    const tailStep = (sum: Local): Code => [
      [0, 1, 2, 3].map((i) => [set(rows[i]!, v128.loadSplat(get(row))), set(row, i32.add(get(row), get(bStride)))]),
      set(mixed[0]!, v128.shuffle(get(rows[0]!), get(rows[1]!), [0, 4, 0, 4])),
      set(mixed[1]!, v128.shuffle(get(rows[2]!), get(rows[3]!), [0, 4, 0, 4])),
      set(sum, fma(v128.shuffle(get(mixed[0]!), get(mixed[1]!), [0, 1, 4, 5]), get(scales[0]!), get(sum))),
    ];
    const wide = i32.sub(get(n), i32.rem(get(n), i32.of(TRANSPOSED_GROUP)));
    return [
      range(j, i32.of(0), wide, i32.of(TRANSPOSED_GROUP), [
        sums.map((sum) => set(sum, v128.zero)),
        set(at, get(a)),
        range(t, i32.of(0), fours, i32.of(4), [
          set(row, i32.add(get(b), i32.shl(get(t), i32.of(2)))),
          scales.map((scale) => [set(scale, v128.loadSplat(get(at))), set(at, i32.add(get(at), get(aStride)))]),
          sums.map(block),
        ]),
        range(t, fours, get(k), i32.of(1), [
          set(row, i32.add(get(b), i32.shl(get(t), i32.of(2)))),
          set(scales[0]!, v128.loadSplat(get(at))),
          set(at, i32.add(get(at), get(aStride))),
          sums.map(tailStep),
        ]),
        sums.map((sum, i) => v128.store(get(c), get(sum), i * 16)),
        set(c, i32.add(get(c), i32.of(TRANSPOSED_GROUP * 4))),
        set(b, i32.add(get(b), i32.mul(get(bStride), i32.of(TRANSPOSED_GROUP)))),
      ]),
      range(j, wide, get(n), i32.of(1), [
        set(single, f32.of(0)),
        set(at, get(a)),
        set(from, get(b)),
        range(t, i32.of(0), get(k), i32.of(1), [
          set(single, one(f32.load(get(at)), f32.load(get(from)), get(single))),
          set(at, i32.add(get(at), get(aStride))),
          set(from, i32.add(get(from), i32.of(4))),
        ]),
        f32.store(get(c), get(single)),
        set(c, i32.add(get(c), i32.of(4))),
        set(b, i32.add(get(b), get(bStride))),
      ]),
    ];
  });
}
