/**
 * Packing: turns a strip of a row-major operand into a panel [k][width] that the tile reads straight through. One of the
 * two strides is always 4 bytes: either the strip's width lies contiguous (plain copies) or k does (4×4 transposes in
 * registers). Strips narrower than the panel repeat their last line, so nothing beyond the operand is read.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  call,
  f32,
  get,
  i32,
  range,
  select,
  set,
  v128,
  when,
} from './emit.ts';

/**
 * pack(src, lineStride, kStride, k, valid, dst): dst[t][w] = src[min(w, valid-1)·lineStride + t·kStride] for w < width.
 * Strides in bytes.
 */
export function packKernel(module: Assembler, width: number): Func {
  const scalar = scalarPack(module, width);
  const copy = copyPack(module, width);
  const transpose = width >= 4 ? transposePack(module, width) : null;
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [src, line, kStride, k, valid, dst] = scope.args as [Local, Local, Local, Local, Local, Local];
    const everything = [get(src), get(line), get(kStride), get(k), get(valid), get(dst)];
    const slow = call(scalar, ...everything);
    return when(
      i32.eq(get(line), i32.of(4)),
      when(i32.eq(get(valid), i32.of(width)), call(copy, get(src), get(kStride), get(k), get(dst)), slow),
      transpose === null ? slow : when(i32.eq(get(kStride), i32.of(4)), call(transpose, ...everything), slow),
    );
  });
}

/** Address of line `w`, repeating the last valid one. */
function lineAddress(src: Local, line: Local, valid: Local, w: Code): Code {
  return i32.add(get(src), i32.mul(get(line), select(i32.lt(w, get(valid)), w, i32.sub(get(valid), i32.of(1)))));
}

function scalarPack(module: Assembler, width: number): Func {
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [src, line, kStride, k, valid, dst] = scope.args as [Local, Local, Local, Local, Local, Local];
    const [w, t, from, to] = [scope.local('i32'), scope.local('i32'), scope.local('i32'), scope.local('i32')];
    return range(w, i32.of(0), i32.of(width), i32.of(1), [
      set(from, lineAddress(src, line, valid, get(w))),
      set(to, i32.add(get(dst), i32.shl(get(w), i32.of(2)))),
      range(t, i32.of(0), get(k), i32.of(1), [
        f32.store(get(to), f32.load(get(from))),
        set(from, i32.add(get(from), get(kStride))),
        set(to, i32.add(get(to), i32.of(width * 4))),
      ]),
    ]);
  });
}

function copyPack(module: Assembler, width: number): Func {
  return module.func(null, ['i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [src, kStride, k, dst] = scope.args as [Local, Local, Local, Local];
    const t = scope.local('i32');
    const moves: Code[] = [];
    let w = 0;
    for (; w + 4 <= width; w += 4) moves.push(v128.store(get(dst), v128.load(get(src), w * 4), w * 4));
    for (; w < width; w++) moves.push(f32.store(get(dst), f32.load(get(src), w * 4), w * 4));
    return range(t, i32.of(0), get(k), i32.of(1), [
      moves,
      set(src, i32.add(get(src), get(kStride))),
      set(dst, i32.add(get(dst), i32.of(width * 4))),
    ]);
  });
}

/** Four lines at a time, four steps of k at a time; what is left of either goes one by one. */
function transposePack(module: Assembler, width: number): Func {
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [src, line, kStride, k, valid, dst] = scope.args as [Local, Local, Local, Local, Local, Local];
    const lines = [0, 1, 2, 3].map(() => scope.local('i32'));
    const rows = [0, 1, 2, 3].map(() => scope.local('v128'));
    const mixed = [0, 1, 2, 3].map(() => scope.local('v128'));
    const [t, to] = [scope.local('i32'), scope.local('i32')];
    const fours = i32.and(get(k), i32.of(-4));
    const group = (first: number, count: number): Code => [
      Array.from({ length: count }, (_, i) => set(lines[i]!, lineAddress(src, line, valid, i32.of(first + i)))),
      set(to, i32.add(get(dst), i32.of(first * 4))),
      count < 4
        ? []
        : range(t, i32.of(0), fours, i32.of(4), [
            rows.map((row, i) => set(row, v128.load(get(lines[i]!)))),
            transpose4(rows, mixed).map((column, u) => v128.store(get(to), column, u * width * 4)),
            lines.map((l) => set(l, i32.add(get(l), i32.of(16)))),
            set(to, i32.add(get(to), i32.of(width * 16))),
          ]),
      range(t, count < 4 ? i32.of(0) : fours, get(k), i32.of(1), [
        Array.from({ length: count }, (_, i) => [
          f32.store(get(to), f32.load(get(lines[i]!)), i * 4),
          set(lines[i]!, i32.add(get(lines[i]!), i32.of(4))),
        ]),
        set(to, i32.add(get(to), i32.of(width * 4))),
      ]),
    ];
    const groups: Code[] = [];
    for (let w = 0; w < width; w += 4) groups.push(group(w, Math.min(4, width - w)));
    void kStride;
    return groups;
  });
}

/** Columns of a 4×4 block held as rows; `mixed` are scratch registers, written before the first column is read. */
export function transpose4(rows: readonly Local[], mixed: readonly Local[]): Code[] {
  const [r0, r1, r2, r3] = rows as [Local, Local, Local, Local];
  const [m0, m1, m2, m3] = mixed as [Local, Local, Local, Local];
  const low = [0, 4, 1, 5];
  const high = [2, 6, 3, 7];
  const prepare: Code = [
    set(m0, v128.shuffle(get(r0), get(r1), low)),
    set(m1, v128.shuffle(get(r2), get(r3), low)),
    set(m2, v128.shuffle(get(r0), get(r1), high)),
    set(m3, v128.shuffle(get(r2), get(r3), high)),
  ];
  return [
    [prepare, v128.shuffle(get(m0), get(m1), [0, 1, 4, 5])],
    v128.shuffle(get(m0), get(m1), [2, 3, 6, 7]),
    v128.shuffle(get(m2), get(m3), [0, 1, 4, 5]),
    v128.shuffle(get(m2), get(m3), [2, 3, 6, 7]),
  ];
}
