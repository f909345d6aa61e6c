/**
 * Weights packed once and read many times: a matrix [n, k] as panels of sixteen of its rows, each [k][16], the last filled up
 * with its last row. The register tile takes half a panel as it lies; for one row of A a panel is one stream through memory,
 * which a processor fetches ahead, where the rows themselves are sixteen short ones.
 */
import {
  type Assembler,
  type Func,
  type Local,
  call,
  doWhile,
  get,
  i32,
  memory,
  select,
  set,
  tee,
  v128,
  when,
  whileLoop,
} from './emit.ts';
import { job } from './job.ts';
import { packKernel } from './pack.ts';
import { madd } from './tile.ts';

/** Columns of a panel: their sums hide the time a multiply-add takes. */
export const PANEL_COLUMNS = 16;

/** Arguments of the packing job; a piece is a panel. from [n, k], to [panels, k, 16]. */
export const PANELS_ARGS = { from: 0, to: 4, n: 8, k: 12 } as const;

export const panelsOf = (n: number): number => Math.ceil(n / PANEL_COLUMNS);

/** Float32s of a matrix in panels. */
export const panelFloats = (n: number, k: number): number => panelsOf(n) * PANEL_COLUMNS * k;

export function packPanelsJob(module: Assembler): Func {
  const pack = packKernel(module, PANEL_COLUMNS);
  return job(module, PANELS_ARGS, ({ piece, word, i32s }) => {
    const [rowBytes, first, valid] = i32s(3);
    return [
      set(rowBytes, i32.shl(word('k'), i32.of(2))),
      set(first, i32.mul(get(piece), i32.of(PANEL_COLUMNS))),
      set(valid, i32.sub(word('n'), get(first))),
      when(i32.gt(get(valid), i32.of(PANEL_COLUMNS)), set(valid, i32.of(PANEL_COLUMNS))),
      set(first, i32.mul(get(first), get(rowBytes))),
      call(
        pack,
        i32.add(word('from'), get(first)),
        get(rowBytes),
        i32.of(4),
        word('k'),
        get(valid),
        i32.add(word('to'), get(first)),
      ),
    ];
  });
}

/**
 * rowTimesPanels(a, aStride, panels, c, n, k, spill): c[n] = sum over k of a[k]·b[n][k], each output in the order of k. k >= 1.
 * One panel at a time: two streams through memory at once run at half the speed. `spill` is room for one panel's outputs.
 */
export function rowTimesPanels(module: Assembler, relaxed: boolean): Func {
  const fma = madd(relaxed);
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [a, aStride, panel, c, n, k, spill] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const [t, at, out] = [scope.local('i32'), scope.local('i32'), scope.local('i32')];
    const sums = Array.from({ length: PANEL_COLUMNS / 4 }, () => scope.local('v128'));
    const scale = scope.local('v128');
    return whileLoop(i32.gtSigned(get(n), i32.of(0)), [
      sums.map((sum) => set(sum, v128.zero)),
      set(t, get(k)),
      set(at, get(a)),
      doWhile(
        [
          set(scale, v128.loadSplat(get(at))),
          sums.map((sum, i) => set(sum, fma(get(scale), v128.load(get(panel), i * 16), get(sum)))),
          set(panel, i32.add(get(panel), i32.of(4 * PANEL_COLUMNS))),
          set(at, i32.add(get(at), get(aStride))),
        ],
        tee(t, i32.sub(get(t), i32.of(1))),
      ),
      set(out, select(i32.lt(get(n), i32.of(PANEL_COLUMNS)), get(spill), get(c))),
      sums.map((sum, i) => v128.store(get(out), get(sum), i * 16)),
      when(i32.lt(get(n), i32.of(PANEL_COLUMNS)), memory.copy(get(c), get(spill), i32.shl(get(n), i32.of(2)))),
      set(c, i32.add(get(c), i32.of(4 * PANEL_COLUMNS))),
      set(n, i32.sub(get(n), i32.of(PANEL_COLUMNS))),
    ]);
  });
}
