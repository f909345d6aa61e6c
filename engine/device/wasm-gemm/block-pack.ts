/**
 * Float32 weights to blocks of 8 or 4 bits (block-product.ts). Of 8 bits w = d q, as Q8_0 of the ggml library finds d; of 4
 * bits w = d q + m, the way of Q4_1 or that of Q4_0 (m = -8 d), whichever comes closer in the sum of squares, so that a file
 * of these types gives its own integers again. Scales stay float32.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  bytes,
  f32,
  f32x4,
  get,
  i32,
  i32x4,
  range,
  set,
  select,
  v128,
  when,
} from './emit.ts';
import { BLOCK, INTEGER_BYTES, SCALE_BYTES, type BlockKind } from './block-product.ts';
import { job, type Locals } from './job.ts';
import { splat, sumLanes } from './row-jobs.ts';

/** Arguments of the job; a piece is a row. from [n, k], k a multiple of 4; what the last block lacks repeats its last four. */
export const BLOCK_PACK_ARGS = { from: 0, integers: 4, scales: 8, k: 12 } as const;

const FOURS = BLOCK / 4;

export function packBlocksJob(module: Assembler, kind: BlockKind): Func {
  return job(module, BLOCK_PACK_ARGS, ({ piece, word, i32s, vectors, floats }) => {
    const [k, at, last, from, to, scales, blocks] = i32s(7);
    const fours = vectors(FOURS);
    const block = { fours, vectors: vectors(5), floats: floats(6), to, scales };
    return [
      set(blocks, i32.div(i32.add(word('k'), i32.of(BLOCK - 1)), i32.of(BLOCK))),
      set(from, i32.add(word('from'), i32.shl(i32.mul(get(piece), word('k')), i32.of(2)))),
      set(to, i32.add(word('integers'), i32.mul(i32.mul(get(piece), get(blocks)), i32.of(INTEGER_BYTES[kind])))),
      set(scales, i32.add(word('scales'), i32.mul(i32.mul(get(piece), get(blocks)), i32.of(SCALE_BYTES[kind])))),
      range(k, i32.of(0), word('k'), i32.of(BLOCK), [
        // The last four there are, from this block on.
        set(last, i32.sub(i32.sub(word('k'), get(k)), i32.of(4))),
        fours.map((four, i) => [
          set(at, select(i32.lt(get(last), i32.of(4 * i)), get(last), i32.of(4 * i))),
          set(four, v128.load(i32.add(get(from), i32.shl(get(at), i32.of(2))))),
        ]),
        kind === 'q8' ? packBytes(block) : packNibbles(block),
        set(from, i32.add(get(from), i32.of(4 * BLOCK))),
        set(to, i32.add(get(to), i32.of(INTEGER_BYTES[kind]))),
        set(scales, i32.add(get(scales), i32.of(SCALE_BYTES[kind]))),
      ]),
    ];
  });
}

type Block = {
  readonly fours: readonly Local[];
  readonly vectors: Locals<5>;
  readonly floats: Locals<6>;
  readonly to: Local;
  readonly scales: Local;
};

/** `one` of all four lanes of a vector. */
const ofLanes = (one: (a: Code, b: Code) => Code, v: Local): Code =>
  one(one(f32x4.lane(get(v), 0), f32x4.lane(get(v), 1)), one(f32x4.lane(get(v), 2), f32x4.lane(get(v), 3)));

/** 1 / d, or 0 where d is. */
const inverse = (into: Local, d: Local): Code => [
  set(into, f32.of(0)),
  when(f32.gt(f32.abs(get(d)), f32.of(1e-37)), set(into, f32.div(f32.of(1), get(d)))),
];

function packBytes({ fours, vectors: [most, q], floats: [d, over], to, scales }: Block): Code {
  return [
    set(most, v128.zero),
    fours.map((four) => set(most, f32x4.max(get(most), f32x4.abs(get(four))))),
    set(d, f32.div(ofLanes(f32.max, most), f32.of(127))),
    inverse(over, d),
    f32.store(get(scales), get(d)),
    fours.map((four, i) => [
      set(q, i32x4.truncF32x4(f32x4.nearest(f32x4.mul(get(four), f32x4.splat(get(over)))))),
      set(q, bytes.narrow32(get(q), get(q))),
      v128.store32(get(to), bytes.narrow16Signed(get(q), get(q)), 4 * i),
    ]),
  ];
}

function packNibbles({ fours, vectors, floats, to, scales }: Block): Code {
  const [low, high, off, near, other] = vectors;
  const [d, m, signedD, over, away, most] = floats;
  /** The nearest of sixteen, as floats, into `near`. */
  const nearest = (four: Local, scale: Local, offset: Code): Code =>
    set(
      near,
      f32x4.min(
        f32x4.max(
          f32x4.nearest(f32x4.mul(f32x4.sub(get(four), f32x4.splat(offset)), f32x4.splat(get(scale)))),
          splat(0),
        ),
        splat(15),
      ),
    );
  /** The sum of squares by which a way misses, into `off`; its inverse scale is in `over`. */
  const missed = (scale: Local, offset: Code): Code => [
    inverse(over, scale),
    set(off, v128.zero),
    fours.map((four) => [
      nearest(four, over, offset),
      set(near, f32x4.sub(f32x4.add(f32x4.mul(get(near), f32x4.splat(get(scale))), f32x4.splat(offset)), get(four))),
      set(off, f32x4.add(get(off), f32x4.mul(get(near), get(near)))),
    ]),
  ];
  const signedM = f32.mul(f32.of(-8), get(signedD));
  return [
    set(low, get(fours[0]!)),
    set(high, get(fours[0]!)),
    fours
      .slice(1)
      .map((four) => [set(low, f32x4.min(get(low), get(four))), set(high, f32x4.max(get(high), get(four)))]),
    set(m, ofLanes(f32.min, low)),
    set(most, ofLanes(f32.max, high)),
    set(d, f32.div(f32.sub(get(most), get(m)), f32.of(15))),
    set(signedD, f32.div(select(f32.gt(get(most), f32.neg(get(m))), get(most), get(m)), f32.of(-8))),
    missed(d, get(m)),
    set(away, sumLanes(off)),
    missed(signedD, signedM),
    when(f32.gt(get(away), sumLanes(off)), [set(d, get(signedD)), set(m, signedM)]),
    f32.store(get(scales), get(d)),
    f32.store(get(scales), get(m), 4),
    inverse(over, d),
    Array.from({ length: FOURS / 2 }, (_, i) => [
      nearest(fours[i]!, over, get(m)),
      set(other, i32x4.truncF32x4(get(near))),
      nearest(fours[i + FOURS / 2]!, over, get(m)),
      set(near, v128.or(get(other), i32x4.shl(i32x4.truncF32x4(get(near)), i32.of(4)))),
      set(near, bytes.narrow32(get(near), get(near))),
      v128.store32(get(to), bytes.narrow16Unsigned(get(near), get(near)), 4 * i),
    ]),
  ];
}
