/**
 * The register tile at the heart of the GEMM: `rows` by 8 outputs stay in vector registers while k runs. Every output
 * element has one accumulator and takes its products in the order of k, whatever the tile's height, so a row of C has the
 * same bits alone as among others. Operands are packed panels: A as [k][rows], B as [k][8]; strides in bytes.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  doWhile,
  f32x4,
  get,
  i32,
  set,
  tee,
  v128,
  when,
} from './emit.ts';

/** Columns of one tile: two vectors. */
export const TILE_COLUMNS = 8;

/** a * b + c: fused (`relaxed`), or rounded twice. */
export function madd(relaxed: boolean): (a: Code, b: Code, c: Code) => Code {
  return relaxed ? f32x4.relaxedMadd : (a, b, c) => f32x4.add(c, f32x4.mul(a, b));
}

/**
 * tile(panelA, panelB, bStride, c, ldc, k, accumulate): C[rows][8] (+)= A · B. k >= 1; `accumulate` 0 starts from zero.
 * Deliberately not unrolled: V8 keeps the sums of one step in place (55 GFLOP/s here), but copies registers between unrolled
 * steps (33 GFLOP/s).
 */
export function tileKernel(module: Assembler, rows: number, relaxed: boolean): Func {
  const fma = madd(relaxed);
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [pa, pb, bStride, c, ldc, k, accumulate] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const row = scope.local('i32');
    const a = scope.local('v128');
    const b = [scope.local('v128'), scope.local('v128')];
    const sums = Array.from({ length: rows }, () => [scope.local('v128'), scope.local('v128')]);

    const step: Code = [
      b.map((bj, j) => set(bj, v128.load(get(pb), j * 16))),
      sums.map((pair, i) => [
        set(a, v128.loadSplat(get(pa), i * 4)),
        pair.map((sum, j) => set(sum, fma(get(a), get(b[j]!), get(sum)))),
      ]),
      set(pa, i32.add(get(pa), i32.of(rows * 4))),
      set(pb, i32.add(get(pb), get(bStride))),
    ];
    const eachRow = (visit: (pair: Local[]) => Code): Code => [
      set(row, get(c)),
      sums.map((pair, i) => [visit(pair), i + 1 < rows ? set(row, i32.add(get(row), get(ldc))) : []]),
    ];
    return [
      when(
        get(accumulate),
        eachRow((pair) => pair.map((sum, j) => set(sum, v128.load(get(row), j * 16)))),
      ),
      doWhile(step, tee(k, i32.sub(get(k), i32.of(1)))),
      eachRow((pair) => pair.map((sum, j) => v128.store(get(row), get(sum), j * 16))),
    ];
  });
}
