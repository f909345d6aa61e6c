/**
 * The frame of a job that works row by row: its arguments, and the loop over one piece's rows. A row is computed by one
 * thread in a fixed order and depends on no other row, so neither threads nor the batch change a bit.
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
  set,
  when,
  whileLoop,
} from './emit.ts';
import { job, type JobScope } from './job.ts';

export const ROW_ARGS = {
  p0: 0, p1: 4, p2: 8, p3: 12, p4: 16, rows: 20, cols: 24, rowBlock: 28, period: 32, number: 36,
} as const; // prettier-ignore

type RowScope = JobScope<keyof typeof ROW_ARGS> & {
  /** The argument `number`, an f32. */
  readonly number: Code;
  readonly row: Local;
  readonly cols: Local;
  /** Address of the current row of a [rows, cols] operand. */
  rowOf(name: keyof typeof ROW_ARGS): Code;
};

export function rowsJob(module: Assembler, body: (scope: RowScope) => Code): Func {
  return job(module, ROW_ARGS, (scope) => {
    const { args, piece, word } = scope;
    const [row, end, cols] = scope.i32s(3);
    const perRow = body({
      ...scope,
      ...{ row, cols },
      number: f32.load(get(args), ROW_ARGS.number),
      rowOf: (name) => i32.add(word(name), i32.shl(i32.mul(get(row), get(cols)), i32.of(2))),
    });
    return [
      set(cols, word('cols')),
      set(row, i32.mul(get(piece), word('rowBlock'))),
      set(end, i32.add(get(row), word('rowBlock'))),
      when(i32.gt(get(end), word('rows')), set(end, word('rows'))),
      whileLoop(i32.lt(get(row), get(end)), [perRow, set(row, i32.add(get(row), i32.of(1)))]),
    ];
  });
}

export const splat = (value: number): Code => f32x4.splat(f32.of(value));
/** The sum of a vector's lanes, in the order (0 + 1) + (2 + 3). */
export const sumLanes = (v: Local): Code =>
  f32.add(f32.add(f32x4.lane(get(v), 0), f32x4.lane(get(v), 1)), f32.add(f32x4.lane(get(v), 2), f32x4.lane(get(v), 3)));
/** Moves addresses on by one vector. */
export const advance = (...pointers: Local[]): Code => pointers.map((p) => set(p, i32.add(get(p), i32.of(16))));
