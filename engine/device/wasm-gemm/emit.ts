/**
 * A small WebAssembly assembler: expressions are nested byte lists, functions are built from typed locals, and `assemble`
 * joins them into one module that imports its (possibly shared) memory. It knows the handful of scalar, SIMD and atomic
 * instructions our kernels use and no text format; bytes are written in the order of the binary specification.
 * Source: WebAssembly core specification 2.0, section 5; threads and relaxed-SIMD proposals for the 0xFE and 0xFD 0x1xx codes.
 */

export type Code = number | readonly Code[];
export type ValueType = 'i32' | 'f32' | 'v128';

const TYPE: Record<ValueType, number> = { i32: 0x7f, f32: 0x7d, v128: 0x7b };
const SIMD = 0xfd;
const ATOMIC = 0xfe;
const VOID = 0x40;

export type Local = { readonly index: number; readonly type: ValueType };
export type Func = { readonly index: number };

/** Unsigned LEB128. */
export function leb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value >>> 0;
  do {
    const low = rest & 127;
    rest >>>= 7;
    bytes.push(rest ? low | 128 : low);
  } while (rest);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
export function sleb(value: number): number[] {
  const bytes: number[] = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 127;
    rest >>= 7;
    const done = (rest === 0 && !(low & 64)) || (rest === -1 && (low & 64) !== 0);
    bytes.push(done ? low : low | 128);
    if (done) return bytes;
  }
}

function f32Bytes(value: number): number[] {
  return [...new Uint8Array(new Float32Array([value]).buffer)];
}

const simd = (op: number): number[] => [SIMD, ...leb(op)];
const unary =
  (...op: number[]) =>
  (a: Code): Code => [a, op];
const binary =
  (...op: number[]) =>
  (a: Code, b: Code): Code => [a, b, op];
/** Memory operand: alignment exponent, then offset. */
const memarg = (align: number, offset: number): number[] => [align, ...leb(offset)];

// ---- locals and control --------------------------------------------------------------------------------------

export const get = (l: Local): Code => [0x20, leb(l.index)];
export const set = (l: Local, value: Code): Code => [value, 0x21, leb(l.index)];
export const tee = (l: Local, value: Code): Code => [value, 0x22, leb(l.index)];
export const call = (f: Func, ...args: Code[]): Code => [args, 0x10, leb(f.index)];
export const drop = (a: Code): Code => [a, 0x1a];
export const when = (condition: Code, then: Code, otherwise?: Code): Code =>
  otherwise === undefined ? [condition, 0x04, VOID, then, 0x0b] : [condition, 0x04, VOID, then, 0x05, otherwise, 0x0b];
/** Runs `body`; runs it again while `condition` holds at its end. */
export const doWhile = (body: Code, condition: Code): Code => [0x03, VOID, body, condition, 0x0d, 0, 0x0b];
/** Tests `condition` before each turn of `body`. */
export const whileLoop = (condition: Code, body: Code): Code => when(condition, doWhile(body, condition));
/** Leaves a function without a result. */
export const leave: Code = 0x0f;
/** One of two values by an i32 condition; both are evaluated. */
export const select = (condition: Code, yes: Code, no: Code): Code => [yes, no, condition, 0x1b];

/** for (i = from; i < to; i += step), unsigned. */
export const range = (i: Local, from: Code, to: Code, step: Code, body: Code): Code => [
  set(i, from),
  whileLoop(i32.lt(get(i), to), [body, set(i, i32.add(get(i), step))]),
];

// ---- numbers -------------------------------------------------------------------------------------------------

export const i32 = {
  of: (value: number): Code => [0x41, sleb(value)],
  eqz: unary(0x45),
  eq: binary(0x46),
  ne: binary(0x47),
  lt: binary(0x49), // unsigned
  gt: binary(0x4b), // unsigned
  ge: binary(0x4f), // unsigned
  gtSigned: binary(0x4a),
  ltSigned: binary(0x48),
  add: binary(0x6a),
  sub: binary(0x6b),
  mul: binary(0x6c),
  div: binary(0x6e), // unsigned
  rem: binary(0x70), // unsigned
  and: binary(0x71),
  shl: binary(0x74),
  shr: binary(0x76), // unsigned
  load: (at: Code, offset = 0): Code => [at, 0x28, memarg(2, offset)],
  store: (at: Code, value: Code, offset = 0): Code => [at, value, 0x36, memarg(2, offset)],
} as const;

export const f32 = {
  of: (value: number): Code => [0x43, f32Bytes(value)],
  abs: unary(0x8b),
  neg: unary(0x8c),
  eq: binary(0x5b),
  gt: binary(0x5e),
  sqrt: unary(0x91),
  add: binary(0x92),
  sub: binary(0x93),
  mul: binary(0x94),
  div: binary(0x95),
  min: binary(0x96),
  max: binary(0x97),
  ofI32: unary(0xb3), // unsigned
  load: (at: Code, offset = 0): Code => [at, 0x2a, memarg(2, offset)],
  store: (at: Code, value: Code, offset = 0): Code => [at, value, 0x38, memarg(2, offset)],
} as const;

export const v128 = {
  load: (at: Code, offset = 0): Code => [at, simd(0), memarg(0, offset)],
  loadSplat: (at: Code, offset = 0): Code => [at, simd(9), memarg(0, offset)],
  store: (at: Code, value: Code, offset = 0): Code => [at, value, simd(11), memarg(0, offset)],
  zero: [simd(12), new Array<number>(16).fill(0)] as Code,
  /** Lanes of two vectors by number: 0–3 of `a`, 4–7 of `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [
    a,
    b,
    simd(13),
    lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte)),
  ],
  /** Stores one i32 or one pair of them out of a vector. */
  store32: (at: Code, value: Code, offset = 0): Code => [at, value, simd(90), memarg(0, offset), 0],
  store64: (at: Code, value: Code, offset = 0): Code => [at, value, simd(91), memarg(0, offset), 0],
  and: binary(...simd(78)),
  andnot: binary(...simd(79)),
  or: binary(...simd(80)),
} as const;

export const f32x4 = {
  splat: unary(...simd(19)),
  lane: (a: Code, lane: number): Code => [a, simd(31), lane],
  lt: binary(...simd(67)),
  nearest: unary(...simd(106)),
  abs: unary(...simd(224)),
  neg: unary(...simd(225)),
  sqrt: unary(...simd(227)),
  add: binary(...simd(228)),
  sub: binary(...simd(229)),
  mul: binary(...simd(230)),
  div: binary(...simd(231)),
  min: binary(...simd(232)),
  max: binary(...simd(233)),
  ofI32x4: unary(...simd(250)),
  /** a * b + c, fused where the machine has it. */
  relaxedMadd: (a: Code, b: Code, c: Code): Code => [a, b, c, simd(0x105)],
} as const;

export const i32x4 = {
  of: (value: number): Code => [
    simd(12),
    [0, 1, 2, 3].flatMap(() => [...new Uint8Array(new Int32Array([value]).buffer)]),
  ],
  shl: binary(...simd(171)),
  add: binary(...simd(174)),
  truncF32x4: unary(...simd(248)),
  /** Of eight pairs of 16-bit integers the products, added two by two. */
  dotI16x8: binary(...simd(186)),
} as const;

/** Integers of 8 and 16 bits: bytes widened, and wider ones narrowed with saturation. */
export const bytes = {
  /** The lower or upper eight of sixteen bytes as 16-bit integers. */
  lowSigned: unary(...simd(135)),
  highSigned: unary(...simd(136)),
  lowUnsigned: unary(...simd(137)),
  highUnsigned: unary(...simd(138)),
  all: (value: number): Code => [simd(12), new Array<number>(16).fill(value)],
  shrUnsigned: (a: Code, by: number): Code => [a, i32.of(by), simd(109)],
  /** Two vectors of i32 to one of i16. */
  narrow32: binary(...simd(133)),
  /** Two vectors of i16 to one of bytes. */
  narrow16Signed: binary(...simd(101)),
  narrow16Unsigned: binary(...simd(102)),
} as const;

export const memory = {
  copy: (to: Code, from: Code, bytes: Code): Code => [to, from, bytes, 0xfc, 10, 0, 0],
  fill: (to: Code, value: Code, bytes: Code): Code => [to, value, bytes, 0xfc, 11, 0],
} as const;

export const atomic = {
  notify: (at: Code, count: Code): Code => [at, count, ATOMIC, 0x00, memarg(2, 0)],
  /** Sleeps while the i32 at `at` is `seen`; the timeout is for ever. */
  wait: (at: Code, seen: Code): Code => [at, seen, 0x42, 0x7f, ATOMIC, 0x01, memarg(2, 0)],
  load: (at: Code, offset = 0): Code => [at, ATOMIC, 0x10, memarg(2, offset)],
  store: (at: Code, value: Code, offset = 0): Code => [at, value, ATOMIC, 0x17, memarg(2, offset)],
  add: (at: Code, value: Code, offset = 0): Code => [at, value, ATOMIC, 0x1e, memarg(2, offset)],
  sub: (at: Code, value: Code, offset = 0): Code => [at, value, ATOMIC, 0x25, memarg(2, offset)],
} as const;

// ---- functions and the module --------------------------------------------------------------------------------

type Body = {
  readonly params: ValueType[];
  readonly result: ValueType | null;
  readonly locals: ValueType[];
  code: Code;
};

/** The locals of the function being written. */
export type Scope = { local(type: ValueType): Local; readonly args: readonly Local[] };

/** Collects functions; a function may call those declared before it, and itself. */
export class Assembler {
  private readonly bodies: Body[] = [];
  private readonly exported: { name: string; index: number }[] = [];

  func(
    name: string | null,
    params: readonly ValueType[],
    result: ValueType | null,
    write: (scope: Scope, self: Func) => Code,
  ): Func {
    const body: Body = { params: [...params], result, locals: [], code: [] };
    const index = this.bodies.push(body) - 1;
    const scope: Scope = {
      args: params.map((type, i) => ({ index: i, type })),
      local: (type) => ({ index: params.length + body.locals.push(type) - 1, type }),
    };
    body.code = write(scope, { index });
    if (name !== null) this.exported.push({ name, index });
    return { index };
  }

  /** The module's bytes. `shared` memory needs a stated maximum, here the 4 GiB that 32-bit addresses reach. */
  assemble(shared: boolean): Uint8Array<ArrayBuffer> {
    const vector = (items: readonly Code[]): Code => [leb(items.length), items];
    const section = (id: number, content: Code): Code => sized(id, flatten(content));
    const text = (s: string): Code => [leb(s.length), [...new TextEncoder().encode(s)]];
    const limits: Code = shared ? [0x03, leb(1), leb(65536)] : [0x00, leb(1)];
    const types = this.bodies.map((b): Code => [
      0x60,
      vector(b.params.map((t) => TYPE[t])),
      vector(b.result ? [TYPE[b.result]] : []),
    ]);
    const codes = this.bodies.map((b): Code => {
      const bytes = flatten([vector(b.locals.map((t): Code => [1, TYPE[t]])), b.code, 0x0b]);
      return [leb(bytes.length), bytes];
    });
    return new Uint8Array(
      flatten([
        [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, vector(types)),
        section(2, vector([[text('e'), text('memory'), 0x02, limits]])),
        section(3, vector(this.bodies.map((_, i) => leb(i)))),
        section(7, vector(this.exported.map((e): Code => [text(e.name), 0x00, leb(e.index)]))),
        section(10, vector(codes)),
      ]),
    );
  }
}

function sized(id: number, bytes: number[]): Code {
  return [id, leb(bytes.length), bytes];
}

function flatten(code: Code): number[] {
  const out: number[] = [];
  const visit = (c: Code): void => {
    if (typeof c === 'number') out.push(c);
    else for (const part of c) visit(part);
  };
  visit(code);
  return out;
}
