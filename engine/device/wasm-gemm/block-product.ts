/**
 * Products with weights of 8 or 4 bits, in blocks of 32 along k with a scale each (and, of 4 bits, an offset). Rows of A are
 * turned into 16-bit integers block by block, so that a block is a handful of integer multiply-adds and its sum is exact:
 * beside the rounding of the weights theirs, of 1/65,534 of a block's largest number, is nothing. Every output takes its
 * blocks in their order, whatever else is computed beside it.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  bytes,
  call,
  doWhile,
  f32,
  f32x4,
  get,
  i32,
  i32x4,
  range,
  set,
  tee,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { job } from './job.ts';
import { SCRATCH_BYTES } from './product.ts';
import { sumLanes } from './row-jobs.ts';
import { madd } from './tile.ts';

export type BlockKind = 'q8' | 'q4';

/** Columns of a block. */
export const BLOCK = 32;
/** Bytes of a block's integers, and of its scale, with an offset behind it in q4. */
export const INTEGER_BYTES: Readonly<Record<BlockKind, number>> = { q8: 32, q4: 16 };
export const SCALE_BYTES: Readonly<Record<BlockKind, number>> = { q8: 4, q4: 8 };

/** Arguments of the job; a piece is `columnBlock` columns of C. a [m, k], c [m, n]; `rows` of A are turned at a time. */
export const BLOCK_ARGS = {
  a: 0, integers: 4, scales: 8, c: 12, m: 16, n: 20, k: 24, columnBlock: 28, rows: 32,
} as const; // prettier-ignore

/** A block of A in scratch memory: 32 integers of 16 bits, their scale, and the scale times their sum. */
const TURNED = { scale: 64, sum: 68, bytes: 72 } as const;
const MOST_INTEGER = 32_767;
/** Rows of A whose blocks stay in the first-level cache. */
const MOST_ROWS = 16;

export const blocksOf = (k: number): number => Math.ceil(k / BLOCK);

/** Rows of A to turn at a time. */
export const rowsAtOnce = (k: number): number =>
  Math.min(MOST_ROWS, Math.floor(SCRATCH_BYTES / (blocksOf(k) * TURNED.bytes)));

export function blockProductJob(module: Assembler, kind: BlockKind, relaxed: boolean): Func {
  const turn = turnRow(module);
  const heights = [4, 2, 1];
  const kernels = heights.map((rows) => blockRows(module, kind, rows, relaxed));
  return job(module, BLOCK_ARGS, ({ scratch, piece, word, i32s }) => {
    const [n, end, m, rows, left, blocks, rowBytes, x, c, w, s] = i32s(11);
    const lesser = (into: Local, value: Code): Code => when(i32.gt(get(into), value), set(into, value));
    const ldc = i32.shl(word('n'), i32.of(2));
    const begin = i32.mul(get(piece), word('columnBlock'));
    const turned: Code = [
      set(x, get(scratch)),
      range(left, i32.of(0), get(rows), i32.of(1), [
        call(
          turn,
          i32.add(word('a'), i32.shl(i32.mul(i32.add(get(m), get(left)), word('k')), i32.of(2))),
          word('k'),
          get(x),
        ),
        set(x, i32.add(get(x), get(rowBytes))),
      ]),
    ];
    const column: Code = [
      set(x, get(scratch)),
      set(c, i32.add(word('c'), i32.shl(i32.add(i32.mul(get(m), word('n')), get(n)), i32.of(2)))),
      set(left, get(rows)),
      heights.map((height, i) =>
        whileLoop(i32.ge(get(left), i32.of(height)), [
          call(kernels[i]!, get(w), get(s), get(x), get(rowBytes), get(c), ldc, get(blocks)),
          set(x, i32.add(get(x), i32.mul(get(rowBytes), i32.of(height)))),
          set(c, i32.add(get(c), i32.mul(ldc, i32.of(height)))),
          set(left, i32.sub(get(left), i32.of(height))),
        ]),
      ),
    ];
    return [
      set(blocks, i32.div(i32.add(word('k'), i32.of(BLOCK - 1)), i32.of(BLOCK))),
      set(rowBytes, i32.mul(get(blocks), i32.of(TURNED.bytes))),
      set(end, i32.add(begin, word('columnBlock'))),
      lesser(end, word('n')),
      range(m, i32.of(0), word('m'), word('rows'), [
        set(rows, i32.sub(word('m'), get(m))),
        lesser(rows, word('rows')),
        turned,
        set(w, i32.add(word('integers'), i32.mul(begin, i32.mul(get(blocks), i32.of(INTEGER_BYTES[kind]))))),
        set(s, i32.add(word('scales'), i32.mul(begin, i32.mul(get(blocks), i32.of(SCALE_BYTES[kind]))))),
        range(n, begin, get(end), i32.of(1), [
          column,
          set(w, i32.add(get(w), i32.mul(get(blocks), i32.of(INTEGER_BYTES[kind])))),
          set(s, i32.add(get(s), i32.mul(get(blocks), i32.of(SCALE_BYTES[kind])))),
        ]),
      ]),
    ];
  });
}

/** turn(x, k, to): a row of A as blocks of integers. k a multiple of 4; what the last block lacks is 0. */
function turnRow(module: Assembler): Func {
  return module.func(null, ['i32', 'i32', 'i32'], null, (scope) => {
    const [x, k, to] = scope.args as [Local, Local, Local];
    const [j, bytesHere] = [scope.local('i32'), scope.local('i32')];
    const [v, most, sum] = [scope.local('v128'), scope.local('v128'), scope.local('v128')];
    const [scale, over] = [scope.local('f32'), scope.local('f32')];
    const lane = (i: number): Code => f32x4.lane(get(most), i);
    const each = (body: Code): Code => range(j, i32.of(0), get(bytesHere), i32.of(16), body);
    const four = v128.load(i32.add(get(x), get(j)));
    return whileLoop(i32.gtSigned(get(k), i32.of(0)), [
      set(bytesHere, i32.of(4 * BLOCK)),
      when(i32.lt(get(k), i32.of(BLOCK)), [
        set(bytesHere, i32.shl(get(k), i32.of(2))),
        [0, 16, 32, 48].map((at) => v128.store(get(to), v128.zero, at)),
      ]),
      set(most, v128.zero),
      each(set(most, f32x4.max(get(most), f32x4.abs(four)))),
      set(scale, f32.max(f32.max(lane(0), lane(1)), f32.max(lane(2), lane(3)))),
      set(over, f32.of(0)),
      // Below this a number's inverse is infinite; it is as good as nothing.
      when(f32.gt(get(scale), f32.of(1e-30)), set(over, f32.div(f32.of(MOST_INTEGER), get(scale)))),
      set(scale, f32.mul(get(scale), f32.of(1 / MOST_INTEGER))),
      set(sum, v128.zero),
      each([
        set(v, i32x4.truncF32x4(f32x4.nearest(f32x4.mul(four, f32x4.splat(get(over)))))),
        set(sum, i32x4.add(get(sum), get(v))),
        v128.store64(i32.add(get(to), i32.shr(get(j), i32.of(1))), bytes.narrow32(get(v), get(v))),
      ]),
      set(sum, f32x4.ofI32x4(get(sum))),
      f32.store(get(to), get(scale), TURNED.scale),
      f32.store(get(to), f32.mul(get(scale), sumLanes(sum)), TURNED.sum),
      set(x, i32.add(get(x), i32.of(4 * BLOCK))),
      set(to, i32.add(get(to), i32.of(TURNED.bytes))),
      set(k, i32.sub(get(k), i32.of(BLOCK))),
    ]);
  });
}

/** blockRows(w, s, x, rowBytes, c, ldc, blocks): one column of C for `rows` turned rows. blocks >= 1. */
function blockRows(module: Assembler, kind: BlockKind, rows: number, relaxed: boolean): Func {
  const fma = madd(relaxed);
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [w, s, first, rowBytes, c, ldc, blocks] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const xs = Array.from({ length: rows }, (_, i) => (i === 0 ? first : scope.local('i32')));
    const sums = xs.map(() => scope.local('v128'));
    const offsets = kind === 'q4' ? xs.map(() => scope.local('f32')) : [];
    const wide = Array.from({ length: 4 }, () => scope.local('v128'));
    const [packed, dot] = [scope.local('v128'), scope.local('v128')];
    const widened: Code =
      kind === 'q8'
        ? [0, 16].map((at, half) => [
            set(packed, v128.load(get(w), at)),
            set(wide[2 * half]!, bytes.lowSigned(get(packed))),
            set(wide[2 * half + 1]!, bytes.highSigned(get(packed))),
          ])
        : [
            set(dot, v128.load(get(w))),
            [v128.and(get(dot), bytes.all(15)), bytes.shrUnsigned(get(dot), 4)].map((nibbles, half) => [
              set(packed, nibbles),
              set(wide[2 * half]!, bytes.lowUnsigned(get(packed))),
              set(wide[2 * half + 1]!, bytes.highUnsigned(get(packed))),
            ]),
          ];
    const product = (x: Local, i: number): Code => i32x4.dotI16x8(get(wide[i]!), v128.load(get(x), 16 * i));
    const step: Code = [
      widened,
      xs.map((x, row) => [
        set(dot, i32x4.add(i32x4.add(product(x, 0), product(x, 1)), i32x4.add(product(x, 2), product(x, 3)))),
        set(
          sums[row]!,
          fma(
            f32x4.ofI32x4(get(dot)),
            f32x4.splat(f32.mul(f32.load(get(s)), f32.load(get(x), TURNED.scale))),
            get(sums[row]!),
          ),
        ),
        kind === 'q4'
          ? set(offsets[row]!, f32.add(get(offsets[row]!), f32.mul(f32.load(get(s), 4), f32.load(get(x), TURNED.sum))))
          : [],
        set(x, i32.add(get(x), i32.of(TURNED.bytes))),
      ]),
      set(w, i32.add(get(w), i32.of(INTEGER_BYTES[kind]))),
      set(s, i32.add(get(s), i32.of(SCALE_BYTES[kind]))),
    ];
    return [
      xs.slice(1).map((x, i) => set(x, i32.add(get(xs[i]!), get(rowBytes)))),
      doWhile(step, tee(blocks, i32.sub(get(blocks), i32.of(1)))),
      sums.map((sum, row) => [
        f32.store(get(c), kind === 'q4' ? f32.add(sumLanes(sum), get(offsets[row]!)) : sumLanes(sum)),
        row + 1 < rows ? set(c, i32.add(get(c), get(ldc))) : [],
      ]),
    ];
  });
}
