/**
 * Elementwise jobs over rows: a binary operation with operands that broadcast, the exponential, and sums over the leading
 * axis. tfjs's own kernels run on one thread, transpose before they sum columns and call the C library for each
 * exponential. Every output is computed by one thread in a fixed order, so the number of threads changes no bit.
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
  i32x4,
  memory,
  range,
  set,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { job } from './job.ts';
import { madd } from './tile.ts';

// ---- binary --------------------------------------------------------------------------------------------------

/**
 * Arguments of the binary job, in bytes. out [n1, n2, n3, cols] is contiguous; an operand's row i1, i2, i3 starts at the sum
 * of index times its stride (0 repeats), and its columns advance by 4 bytes or not at all.
 */
export const BINARY_ARGS = {
  a: 0, b: 4, out: 8, rows: 12, cols: 16, n2: 20, n3: 24,
  a1: 28, a2: 32, a3: 36, aCol: 40, b1: 44, b2: 48, b3: 52, bCol: 56, rowBlock: 60,
} as const; // prettier-ignore

type Op4 = (a: Code, b: Code) => Code;
export const BINARY_OPS = ['Add', 'Sub', 'Multiply', 'RealDiv'] as const;
const VECTOR: Record<(typeof BINARY_OPS)[number], Op4> = {
  Add: f32x4.add,
  Sub: f32x4.sub,
  Multiply: f32x4.mul,
  RealDiv: f32x4.div,
};
const SCALAR: Record<(typeof BINARY_OPS)[number], Op4> = {
  Add: f32.add,
  Sub: f32.sub,
  Multiply: f32.mul,
  RealDiv: f32.div,
};

/** binary(args, scratch, piece): `rowBlock` rows of out. */
export function binaryJob(module: Assembler, op: (typeof BINARY_OPS)[number]): Func {
  return job(module, BINARY_ARGS, ({ piece, word, i32s, vectors }) => {
    const [row, end, left, a, b, out, cols, i3, i2, aStep, bStep] = i32s(11);
    const [va, vb] = vectors(2);
    const start = (operand: 'a' | 'b'): Code =>
      i32.add(
        word(operand),
        i32.add(
          i32.mul(i32.div(i32.div(get(row), word('n3')), word('n2')), word(`${operand}1`)),
          i32.add(i32.mul(get(i2), word(`${operand}2`)), i32.mul(get(i3), word(`${operand}3`))),
        ),
      );
    /** `vectors` at a time while they last; loads by the vector's number. */
    const sweep = (vectors: number, loadA: (u: number) => Code, loadB: (u: number) => Code): Code =>
      whileLoop(i32.ge(get(left), i32.of(4 * vectors)), [
        Array.from({ length: vectors }, (_, u) => v128.store(get(out), VECTOR[op](loadA(u), loadB(u)), u * 16)),
        set(a, i32.add(get(a), i32.mul(get(aStep), i32.of(vectors)))),
        set(b, i32.add(get(b), i32.mul(get(bStep), i32.of(vectors)))),
        set(out, i32.add(get(out), i32.of(16 * vectors))),
        set(left, i32.sub(get(left), i32.of(4 * vectors))),
      ]);
    const loop = (loadA: (u: number) => Code, loadB: (u: number) => Code): Code => [
      sweep(4, loadA, loadB),
      sweep(1, loadA, loadB),
    ];
    const [fromA, fromB] = [(u: number) => v128.load(get(a), u * 16), (u: number) => v128.load(get(b), u * 16)];
    return [
      set(cols, word('cols')),
      set(aStep, i32.shl(word('aCol'), i32.of(2))),
      set(bStep, i32.shl(word('bCol'), i32.of(2))),
      set(row, i32.mul(get(piece), word('rowBlock'))),
      set(end, i32.add(get(row), word('rowBlock'))),
      when(i32.gt(get(end), word('rows')), set(end, word('rows'))),
      set(out, i32.add(word('out'), i32.shl(i32.mul(get(row), get(cols)), i32.of(2)))),
      whileLoop(i32.lt(get(row), get(end)), [
        set(i3, i32.rem(get(row), word('n3'))),
        set(i2, i32.rem(i32.div(get(row), word('n3')), word('n2'))),
        set(a, start('a')),
        set(b, start('b')),
        set(left, get(cols)),
        set(va, v128.loadSplat(get(a))),
        set(vb, v128.loadSplat(get(b))),
        when(
          i32.eqz(word('aCol')),
          loop(() => get(va), fromB),
          when(
            i32.eqz(word('bCol')),
            loop(fromA, () => get(vb)),
            loop(fromA, fromB),
          ),
        ),
        whileLoop(get(left), [
          f32.store(get(out), SCALAR[op](f32.load(get(a)), f32.load(get(b)))),
          set(a, i32.add(get(a), word('aCol'))),
          set(b, i32.add(get(b), word('bCol'))),
          set(out, i32.add(get(out), i32.of(4))),
          set(left, i32.sub(get(left), i32.of(1))),
        ]),
        set(row, i32.add(get(row), i32.of(1))),
      ]),
    ];
  });
}

// ---- exponential ---------------------------------------------------------------------------------------------

/** exp of four lanes held in x; r and n are scratch. Relative error below 3e-7; 0 under -86.98 (1.7e-38). */
export function exp4(relaxed: boolean, x: Local, r: Local, n: Local): Code {
  const fma = madd(relaxed);
  const all = (value: number): Code => f32x4.splat(f32.of(value));
  const LN2_HIGH = 0.693359375; // few bits, so that n times it is exact
  const LN2_LOW = Math.LN2 - LN2_HIGH;
  const taylor = [1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1, 1]; // |r| <= ln 2 / 2: the rest is below 1.2e-7
  const polynomial = taylor.slice(1).reduce<Code>((sum, c) => fma(sum, get(r), all(c)), all(taylor[0]!));
  return [
    set(n, f32x4.nearest(f32x4.mul(f32x4.min(f32x4.max(get(x), all(-88)), all(89)), all(Math.LOG2E)))),
    set(r, f32x4.min(f32x4.max(get(x), all(-88)), all(89))),
    set(r, f32x4.sub(f32x4.sub(get(r), f32x4.mul(get(n), all(LN2_HIGH))), f32x4.mul(get(n), all(LN2_LOW)))),
    // 2ⁿ in two steps, since n = 128 has no exponent of its own: 2 · 2ⁿ⁻¹.
    set(r, f32x4.mul(polynomial, all(2))),
    set(n, i32x4.shl(i32x4.add(i32x4.truncF32x4(get(n)), i32x4.of(126)), i32.of(23))),
    set(r, f32x4.mul(get(r), get(n))),
    set(x, v128.andnot(get(r), f32x4.lt(get(x), all(-86.98)))),
  ];
}

/** Arguments of the exponential job: `size` numbers from x to out, `block` of them a piece (a multiple of 4). */
export const EXP_ARGS = { x: 0, out: 4, size: 8, block: 12 } as const;

export function expJob(module: Assembler, relaxed: boolean): Func {
  return job(module, EXP_ARGS, ({ scratch, piece, word, i32s, vectors }) => {
    const [i, end, rest] = i32s(3);
    const [x, r, n] = vectors(3);
    const at = (name: 'x' | 'out'): Code => i32.add(word(name), i32.shl(get(i), i32.of(2)));
    return [
      set(i, i32.mul(get(piece), word('block'))),
      set(end, i32.add(get(i), word('block'))),
      when(i32.gt(get(end), word('size')), set(end, word('size'))),
      whileLoop(i32.ge(i32.sub(get(end), get(i)), i32.of(4)), [
        set(x, v128.load(at('x'))),
        exp4(relaxed, x, r, n),
        v128.store(at('out'), get(x)),
        set(i, i32.add(get(i), i32.of(4))),
      ]),
      set(rest, i32.shl(i32.sub(get(end), get(i)), i32.of(2))),
      when(get(rest), [
        memory.copy(get(scratch), at('x'), get(rest)),
        set(x, v128.load(get(scratch))),
        exp4(relaxed, x, r, n),
        v128.store(get(scratch), get(x)),
        memory.copy(at('out'), get(scratch), get(rest)),
      ]),
    ];
  });
}

// ---- sums over rows ------------------------------------------------------------------------------------------

/** out[cols] = sum over rows of x[rows][cols]; a piece is 16 columns. */
export const COLUMN_SUM_ARGS = { x: 0, out: 4, rows: 8, cols: 12 } as const;
export const COLUMN_SUM_WIDTH = 16;

export function columnSumJob(module: Assembler): Func {
  return job(module, COLUMN_SUM_ARGS, ({ piece, word, i32s, vectors, floats }) => {
    const [i, j, left, at, out, stride] = i32s(6);
    const sums = vectors(4);
    const [single] = floats(1);
    const first = i32.mul(get(piece), i32.of(COLUMN_SUM_WIDTH * 4));
    return [
      set(stride, i32.shl(word('cols'), i32.of(2))),
      set(left, i32.sub(word('cols'), i32.mul(get(piece), i32.of(COLUMN_SUM_WIDTH)))),
      set(at, i32.add(word('x'), first)),
      set(out, i32.add(word('out'), first)),
      when(
        i32.ge(get(left), i32.of(COLUMN_SUM_WIDTH)),
        [
          sums.map((sum) => set(sum, v128.zero)),
          range(i, i32.of(0), word('rows'), i32.of(1), [
            sums.map((sum, s) => set(sum, f32x4.add(get(sum), v128.load(get(at), s * 16)))),
            set(at, i32.add(get(at), get(stride))),
          ]),
          sums.map((sum, s) => v128.store(get(out), get(sum), s * 16)),
        ],
        range(j, i32.of(0), get(left), i32.of(1), [
          set(single, f32.of(0)),
          set(at, i32.add(i32.add(word('x'), first), i32.shl(get(j), i32.of(2)))),
          range(i, i32.of(0), word('rows'), i32.of(1), [
            set(single, f32.add(get(single), f32.load(get(at)))),
            set(at, i32.add(get(at), get(stride))),
          ]),
          f32.store(get(out), get(single)),
          set(out, i32.add(get(out), i32.of(4))),
        ]),
      ),
    ];
  });
}
