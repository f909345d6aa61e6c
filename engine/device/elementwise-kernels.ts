/**
 * tfjs's add, subtract, multiply, divide, exponential, sums over leading axes and gathers of rows, on our threads. Each
 * falls back to tfjs's own kernel for what it does not cover (integers, broadcasts that do not collapse).
 */
import type * as tfjs from '@tensorflow/tfjs';
import { replaceKernel, stockKernel } from './replace-kernel.ts';
import type { WasmBackend } from './wasm-backend.ts';
import { BINARY_ARGS, BINARY_OPS, COLUMN_SUM_ARGS, COLUMN_SUM_WIDTH, EXP_ARGS } from './wasm-gemm/elementwise.ts';
import type { ThreadTeam } from './wasm-gemm/threads.ts';

type Tf = typeof tfjs;
type Info = tfjs.TensorInfo;

/** Numbers per piece, and from how many on other threads are worth waking. */
const PIECE = 8192;
const SHARE_FROM = 32_768;

export function registerElementwise(tf: Tf, team: ThreadTeam): void {
  for (const op of BINARY_OPS) registerBinary(tf, team, op);
  registerExp(tf, team);
  registerSum(tf, team);
  registerGather(tf, team);
}

function address(backend: WasmBackend, info: Info): number {
  return backend.dataIdMap.get(info.dataId).memoryOffset;
}

/** Writes a job's arguments by name. */
export function write<Names extends string>(
  team: ThreadTeam,
  places: Readonly<Record<Names, number>>,
  values: Readonly<Record<Names, number>>,
): void {
  const words = team.view();
  const base = team.args;
  for (const name in places) words[base + (places[name] >> 2)] = values[name];
}

function registerBinary(tf: Tf, team: ThreadTeam, op: (typeof BINARY_OPS)[number]): void {
  const stock = stockKernel(tf, op);
  replaceKernel(tf, op, (args) => {
    const { a, b } = args.inputs as { a: Info; b: Info };
    const plan = a.dtype === 'float32' && b.dtype === 'float32' ? planBroadcast(a.shape, b.shape) : null;
    if (!plan) return stock(args);
    const backend = args.backend as WasmBackend;
    const out = backend.makeOutput(plan.shape, 'float32');
    runBinary(team, op, { a: address(backend, a), b: address(backend, b), out: address(backend, out) }, plan);
    return out;
  });
}

/** By addresses. */
export function runBinary(
  team: ThreadTeam,
  op: (typeof BINARY_OPS)[number],
  at: Readonly<Record<'a' | 'b' | 'out', number>>,
  { rows, cols, n2, n3, strides }: BroadcastPlan,
): void {
  if (rows * cols === 0) return;
  const rowBlock = Math.max(1, Math.ceil(PIECE / cols));
  write(team, BINARY_ARGS, { ...at, ...strides, rows, cols, n2, n3, rowBlock });
  team.run(op, Math.ceil(rows / rowBlock), rows * cols >= SHARE_FROM);
}

export type BroadcastPlan = {
  readonly shape: number[];
  readonly rows: number;
  readonly cols: number;
  readonly n2: number;
  readonly n3: number;
  readonly strides: Readonly<Record<'a1' | 'a2' | 'a3' | 'aCol' | 'b1' | 'b2' | 'b3' | 'bCol', number>>;
};

type Dim = { size: number; a: number; b: number };

/**
 * Dimensions that both operands walk through alike are joined; what is left must be a last dimension and at most three
 * before it. Strides in bytes, 0 where an operand repeats. Null where shapes need more, or do not broadcast.
 */
export function planBroadcast(a: readonly number[], b: readonly number[]): BroadcastPlan | null {
  const rank = Math.max(a.length, b.length);
  const shape: number[] = [];
  const dims: Dim[] = []; // innermost first
  let [strideA, strideB] = [4, 4];
  for (let d = rank - 1; d >= 0; d--) {
    const [da, db] = [a[d - rank + a.length] ?? 1, b[d - rank + b.length] ?? 1];
    if (da !== db && da !== 1 && db !== 1) return null;
    const size = da === 1 ? db : da;
    shape.unshift(size);
    if (size !== 1) join(dims, { size, a: da === 1 ? 0 : strideA, b: db === 1 ? 0 : strideB });
    strideA *= da;
    strideB *= db;
  }
  if (dims.length > 4) return null;
  // One long flat run is cut into rows, so that threads can share it.
  if (dims.length <= 1 && (dims[0]?.size ?? 1) > PIECE) {
    const { size, a: sa, b: sb } = dims[0]!;
    for (let cols = PIECE; cols >= 1024; cols--) {
      if (size % cols === 0) {
        dims.splice(0, 1, { size: cols, a: sa, b: sb }, { size: size / cols, a: sa * cols, b: sb * cols });
        break;
      }
    }
  }
  const at = (i: number): Dim => dims[i] ?? { size: 1, a: 0, b: 0 };
  const strides = {
    a1: at(3).a,
    a2: at(2).a,
    a3: at(1).a,
    aCol: at(0).a,
    b1: at(3).b,
    b2: at(2).b,
    b3: at(1).b,
    bCol: at(0).b,
  };
  return {
    shape,
    rows: at(1).size * at(2).size * at(3).size,
    cols: at(0).size,
    n2: at(2).size,
    n3: at(1).size,
    strides,
  };
}

/** Adds the next dimension outwards, or lengthens the last one where both operands just go on. */
function join(dims: Dim[], next: Dim): void {
  const last = dims.at(-1);
  if (last && next.a === last.a * last.size && next.b === last.b * last.size) last.size *= next.size;
  else dims.push(next);
}

function registerExp(tf: Tf, team: ThreadTeam): void {
  const stock = stockKernel(tf, 'Exp');
  replaceKernel(tf, 'Exp', (args) => {
    const { x } = args.inputs as { x: Info };
    if (x.dtype !== 'float32') return stock(args);
    const backend = args.backend as WasmBackend;
    const out = backend.makeOutput(x.shape, 'float32');
    const size = x.shape.reduce((p, q) => p * q, 1);
    write(team, EXP_ARGS, { x: address(backend, x), out: address(backend, out), size, block: PIECE });
    team.run('exp', Math.ceil(size / PIECE), size >= SHARE_FROM / 4);
    return out;
  });
}

function registerSum(tf: Tf, team: ThreadTeam): void {
  const stock = stockKernel(tf, 'Sum');
  replaceKernel(tf, 'Sum', (args) => {
    const { x } = args.inputs as { x: Info };
    const { axis, keepDims } = args.attrs as unknown as { axis: number | number[]; keepDims: boolean };
    const axes = tf.util.parseAxisParam(axis, x.shape);
    const leading = axes.length > 0 && axes.length < x.shape.length && axes.every((a) => a < axes.length);
    if (x.dtype !== 'float32' || !leading) return stock(args);
    const backend = args.backend as WasmBackend;
    const outer = x.shape.slice(0, axes.length);
    const inner = x.shape.slice(axes.length);
    const [rows, cols] = [outer, inner].map((s) => s.reduce((p, q) => p * q, 1)) as [number, number];
    const out = backend.makeOutput(keepDims ? [...outer.map(() => 1), ...inner] : inner, 'float32');
    write(team, COLUMN_SUM_ARGS, { x: address(backend, x), out: address(backend, out), rows, cols });
    team.run('columnSum', Math.ceil(cols / COLUMN_SUM_WIDTH), rows * cols >= SHARE_FROM);
    return out;
  });
}

/** Rows of a matrix by number; one copy a row. */
function registerGather(tf: Tf, team: ThreadTeam): void {
  const stock = stockKernel(tf, 'GatherV2');
  replaceKernel(tf, 'GatherV2', (args) => {
    const { x, indices } = args.inputs as { x: Info; indices: Info };
    const { axis, batchDims } = args.attrs as unknown as { axis: number; batchDims: number };
    const wide = x.shape.slice(1).reduce((p, q) => p * q, 1);
    if (x.dtype !== 'float32' || axis !== 0 || batchDims !== 0 || indices.dtype !== 'int32') return stock(args);
    const backend = args.backend as WasmBackend;
    const out = backend.makeOutput([...indices.shape, ...x.shape.slice(1)], 'float32');
    const all = team.floats();
    const ids = backend.typedArrayFromHeap(indices) as Int32Array;
    const from = address(backend, x) / 4;
    const to = address(backend, out) / 4;
    const rows = x.shape[0]!;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (id < 0 || id >= rows) throw new Error(`gather: index ${id} outside 0 … ${rows - 1}`);
      if (wide === 1) all[to + i] = all[from + id]!;
      else all.copyWithin(to + i * wide, from + id * wide, from + (id + 1) * wide);
    }
    return out;
  });
}
