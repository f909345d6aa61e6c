/**
 * The parts of a decoder layer that are not products, each as one job over rows, forward and backward: RMS norm, the gated
 * unit silu(gate)·up, softmax under the causal mask, and rotary positions. In plain operations each is five to fifteen
 * passes over memory. A row is computed by one thread in a fixed order and depends on no other row.
 */
import { type Assembler, type Code, type Func, type Local, f32, f32x4, get, i32, memory, range, set, v128, when, whileLoop } from './emit.ts';
import { exp4 } from './elementwise.ts';

/** Arguments, in bytes: five addresses, the shape, rows per piece, a period of rows, and a number. */
export const ROW_ARGS = {
  p0: 0, p1: 4, p2: 8, p3: 12, p4: 16, rows: 20, cols: 24, rowBlock: 28, period: 32, number: 36,
} as const; // prettier-ignore

type Word = (name: keyof typeof ROW_ARGS) => Code;
type RowScope = {
  readonly word: Word;
  /** The argument `number`, an f32. */
  readonly number: Code;
  readonly scratch: Local;
  readonly row: Local;
  readonly cols: Local;
  /** Address of the current row of a [rows, cols] operand. */
  rowOf(name: keyof typeof ROW_ARGS): Code;
  i32s(count: number): Local[];
  vectors(count: number): Local[];
  floats(count: number): Local[];
};

function rowsJob(module: Assembler, body: (scope: RowScope) => Code): Func {
  return module.func(null, ['i32', 'i32', 'i32'], null, (scope) => {
    const [args, scratch, piece] = scope.args as [Local, Local, Local];
    const word: Word = (name) => i32.load(get(args), ROW_ARGS[name]);
    const [row, end, cols] = [scope.local('i32'), scope.local('i32'), scope.local('i32')];
    const many = (type: 'i32' | 'v128' | 'f32') => (count: number) => Array.from({ length: count }, () => scope.local(type));
    const rowScope: RowScope = {
      word,
      number: f32.load(get(args), ROW_ARGS.number),
      scratch,
      row,
      cols,
      rowOf: (name) => i32.add(word(name), i32.shl(i32.mul(get(row), get(cols)), i32.of(2))),
      i32s: many('i32'),
      vectors: many('v128'),
      floats: many('f32'),
    };
    const perRow = body(rowScope);
    return [
      set(cols, word('cols')),
      set(row, i32.mul(get(piece), word('rowBlock'))),
      set(end, i32.add(get(row), word('rowBlock'))),
      when(i32.gt(get(end), word('rows')), set(end, word('rows'))),
      whileLoop(i32.lt(get(row), get(end)), [perRow, set(row, i32.add(get(row), i32.of(1)))]),
    ];
  });
}

const splat = (value: number): Code => f32x4.splat(f32.of(value));
const sumLanes = (v: Local): Code =>
  f32.add(f32.add(f32x4.lane(get(v), 0), f32x4.lane(get(v), 1)), f32.add(f32x4.lane(get(v), 2), f32x4.lane(get(v), 3)));
const advance = (...pointers: Local[]): Code => pointers.map((p) => set(p, i32.add(get(p), i32.of(16))));

// ---- RMS norm: y = x · r · w with r = 1 / sqrt(mean(x²) + eps); cols a multiple of 4 --------------------------------

/** p0 x, p1 w, p2 y, p3 r [rows]; number eps. */
export function rmsNormJob(module: Assembler): Func {
  return rowsJob(module, ({ word, number, row, cols, rowOf, i32s, vectors, floats }) => {
    const [j, x, w, y] = i32s(4) as [Local, Local, Local, Local];
    const [sum, v] = vectors(2) as [Local, Local];
    const [r] = floats(1) as [Local];
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
    const [j, x, w, dy, dx] = i32s(5) as [Local, Local, Local, Local, Local];
    const [sum] = vectors(1) as [Local];
    const [r, back] = floats(2) as [Local, Local];
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
  return module.func(null, ['i32', 'i32', 'i32'], null, (scope) => {
    const [args, , piece] = scope.args as [Local, Local, Local];
    const word: Word = (name) => i32.load(get(args), ROW_ARGS[name]);
    const [i, j, end, x, dy, r, stride] = Array.from({ length: 7 }, () => scope.local('i32')) as
      [Local, Local, Local, Local, Local, Local, Local]; // prettier-ignore
    const sum = scope.local('v128');
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
          set(sum, f32x4.add(get(sum), f32x4.mul(f32x4.mul(v128.load(get(x)), v128.load(get(dy))), v128.loadSplat(get(r))))),
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

// ---- gated unit: y = g · s(g) · u with s the logistic function; cols a multiple of 4 --------------------------------

/** s(g) into `out`, from g in `g`; three scratch registers. exp(-g) may be infinite: then s is 0. */
function logistic(relaxed: boolean, g: Local, out: Local, t: Local, r: Local, n: Local): Code {
  return [
    set(t, f32x4.neg(get(g))),
    exp4(relaxed, t, r, n),
    set(out, f32x4.div(splat(1), f32x4.add(splat(1), get(t)))),
  ];
}

/** p0 g, p1 u, p2 y. */
export function gatedJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ cols, rowOf, i32s, vectors }) => {
    const [j, pg, pu, py] = i32s(4) as [Local, Local, Local, Local];
    const [g, s, t, r, n] = vectors(5) as [Local, Local, Local, Local, Local];
    return [
      set(pg, rowOf('p0')),
      set(pu, rowOf('p1')),
      set(py, rowOf('p2')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(g, v128.load(get(pg))),
        logistic(relaxed, g, s, t, r, n),
        v128.store(get(py), f32x4.mul(f32x4.mul(get(g), get(s)), v128.load(get(pu)))),
        advance(pg, pu, py),
      ]),
    ];
  });
}

/** dg = dy·u·s·(1 + g·(1 - s)), du = dy·g·s. p0 g, p1 u, p2 dy, p3 dg, p4 du; an address of 0 leaves that one out. */
export function gatedGradJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ word, cols, rowOf, i32s, vectors }) => {
    const [j, pg, pu, pdy, pdg, pdu] = i32s(6) as [Local, Local, Local, Local, Local, Local];
    const [g, s, t, r, n, dy] = vectors(6) as [Local, Local, Local, Local, Local, Local];
    return [
      set(pg, rowOf('p0')),
      set(pu, rowOf('p1')),
      set(pdy, rowOf('p2')),
      set(pdg, rowOf('p3')),
      set(pdu, rowOf('p4')),
      range(j, i32.of(0), get(cols), i32.of(4), [
        set(g, v128.load(get(pg))),
        set(dy, v128.load(get(pdy))),
        logistic(relaxed, g, s, t, r, n),
        when(word('p4'), v128.store(get(pdu), f32x4.mul(get(dy), f32x4.mul(get(g), get(s))))),
        when(
          word('p3'),
          v128.store(
            get(pdg),
            f32x4.mul(
              f32x4.mul(f32x4.mul(get(dy), v128.load(get(pu))), get(s)),
              f32x4.add(splat(1), f32x4.mul(get(g), f32x4.sub(splat(1), get(s)))),
            ),
          ),
        ),
        advance(pg, pu, pdy, pdg, pdu),
      ]),
    ];
  });
}

// ---- softmax(scale · x) over the keys a query may see: the first (row mod period) + 1 -------------------------------

/** p0 x, p1 y; number scale. Keys beyond get exactly 0. */
export function causalSoftmaxJob(module: Assembler, relaxed: boolean): Func {
  return rowsJob(module, ({ word, number, scratch, row, cols, rowOf, i32s, vectors, floats }) => {
    const [j, x, y, seen, left] = i32s(5) as [Local, Local, Local, Local, Local];
    const [v, r, n, sum] = vectors(4) as [Local, Local, Local, Local];
    const [most, scale] = floats(2) as [Local, Local];
    const weigh: Code = [
      set(v, f32x4.mul(f32x4.sub(get(v), f32x4.splat(get(most))), f32x4.splat(get(scale)))),
      exp4(relaxed, v, r, n),
      set(sum, f32x4.add(get(sum), get(v))),
    ];
    const tailBytes = i32.shl(get(left), i32.of(2));
    return [
      set(scale, number),
      set(seen, i32.add(i32.rem(get(row), word('period')), i32.of(1))),
      when(i32.gt(get(seen), get(cols)), set(seen, get(cols))),
      set(x, rowOf('p0')),
      set(most, f32.load(get(x))),
      range(j, i32.of(0), get(seen), i32.of(1), [set(most, f32.max(get(most), f32.load(get(x)))), set(x, i32.add(get(x), i32.of(4)))]),
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
    const [y, dy, dx, left] = i32s(4) as [Local, Local, Local, Local];
    const [sum] = vectors(1) as [Local];
    const [dot] = floats(1) as [Local];
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
        v128.store(get(dx), f32x4.mul(f32x4.mul(v128.load(get(y)), f32x4.sub(v128.load(get(dy)), f32x4.splat(get(dot)))), f32x4.splat(number))),
        f32.store(get(dx), f32.mul(f32.mul(f32.load(get(y)), f32.sub(f32.load(get(dy)), get(dot))), number)),
        y,
        dy,
        dx,
      ),
    ];
  });
}

// ---- rotary positions, rotate-half ----------------------------------------------------------------------------------

/**
 * A row is one head of one token; cols (the head's size) a multiple of 8. First half: x·cos - x'·sin, second: x·cos + x'·sin,
 * with x' the other half. p0 x, p1 cos, p2 sin (both [positions, cols], halves equal), p3 y; period: heads times positions;
 * number: 1, or -1 for the gradient, which turns back. p4 holds the number of heads, not an address.
 */
export function ropeJob(module: Assembler): Func {
  return rowsJob(module, ({ word, number, row, cols, rowOf, i32s, vectors }) => {
    const [j, x, y, cos, sin, half] = i32s(6) as [Local, Local, Local, Local, Local, Local];
    const [a, b, c, s] = vectors(4) as [Local, Local, Local, Local];
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
