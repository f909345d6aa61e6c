/**
 * One piece of a batched matrix product: the job that threads share. A piece is a block of rows by a block of columns of
 * one matrix of the batch, over all of k, so how the work is cut never changes a bit. A and B are addressed by byte
 * strides, which covers all four orientations; C is contiguous.
 */
import {
  type Assembler,
  type Code,
  type Func,
  type Local,
  call,
  get,
  i32,
  memory,
  range,
  set,
  when,
  whileLoop,
} from './emit.ts';
import { rowTimesMatrix, rowTimesTransposed } from './gemv.ts';
import { job } from './job.ts';
import { PANEL_COLUMNS, rowTimesPanels } from './panels.ts';
import { packKernel } from './pack.ts';
import { TILE_COLUMNS, tileKernel } from './tile.ts';

/** Steps of k in one packed panel: a panel of B (8 KiB) stays in the first-level cache. */
export const K_BLOCK = 256;
/** Most rows of A packed at once: 192 KiB, inside the second-level cache of every machine of the last ten years. */
export const MAX_ROWS = 192;

/** Where each argument of the job stands, in bytes from the job's argument block. */
export const PRODUCT_ARGS = {
  a: 0, b: 4, c: 8, m: 12, n: 16, k: 20, aRow: 24, aCol: 28, bRow: 32, bCol: 36,
  /** Table of two i32 per batch item: byte offsets of its A and B. */
  offsets: 40,
  rowBlock: 44, columnBlock: 48, rowBlocks: 52, columnBlocks: 56,
  /** 1 where B lies in panels (panels.ts): bCol is then a column's share of a panel. */
  panels: 60,
} as const; // prettier-ignore

const PANEL_A = 0;
const PANEL_B = MAX_ROWS * K_BLOCK * 4;
const SPILL = PANEL_B + TILE_COLUMNS * K_BLOCK * 4;
/** Bytes of scratch memory each thread needs. */
export const SCRATCH_BYTES = SPILL + MAX_ROWS * TILE_COLUMNS * 4;

/** product(args, scratch, piece). */
export function productJob(module: Assembler, tileRows: number, relaxed: boolean): Func {
  const block = blockKernel(module, tileRows, relaxed);
  const gemvPlain = rowTimesMatrix(module, relaxed);
  const gemvTransposed = rowTimesTransposed(module, relaxed);
  const gemvPanels = rowTimesPanels(module, relaxed);
  return job(module, PRODUCT_ARGS, ({ args, scratch, piece, word, i32s }) => {
    const [rest, m0, n0, rows, columns, a, b, c] = i32s(8);
    const lesser = (into: Local, value: Code): Code => [when(i32.gt(get(into), value), set(into, value))];
    return [
      set(n0, i32.mul(i32.rem(get(piece), word('columnBlocks')), word('columnBlock'))),
      set(rest, i32.div(get(piece), word('columnBlocks'))),
      set(m0, i32.mul(i32.rem(get(rest), word('rowBlocks')), word('rowBlock'))),
      set(rest, i32.div(get(rest), word('rowBlocks'))), // the batch item
      set(rows, i32.sub(word('m'), get(m0))),
      lesser(rows, word('rowBlock')),
      set(columns, i32.sub(word('n'), get(n0))),
      lesser(columns, word('columnBlock')),
      set(c, i32.add(i32.mul(i32.add(i32.mul(get(rest), word('m')), get(m0)), word('n')), get(n0))),
      set(c, i32.add(word('c'), i32.shl(get(c), i32.of(2)))),
      set(rest, i32.add(word('offsets'), i32.shl(get(rest), i32.of(3)))),
      set(a, i32.add(i32.add(word('a'), i32.load(get(rest))), i32.mul(get(m0), word('aRow')))),
      set(b, i32.add(i32.add(word('b'), i32.load(get(rest), 4)), i32.mul(get(n0), word('bCol')))),
      when(
        i32.eq(get(rows), i32.of(1)),
        when(
          word('panels'),
          call(gemvPanels, get(a), word('aCol'), get(b), get(c), get(columns), word('k'), get(scratch)),
          when(
            i32.eq(word('bCol'), i32.of(4)),
            call(gemvPlain, get(a), word('aCol'), get(b), word('bRow'), get(c), get(columns), word('k')),
            call(gemvTransposed, get(a), word('aCol'), get(b), word('bCol'), get(c), get(columns), word('k')),
          ),
        ),
        call(block, get(args), get(scratch), get(a), get(b), get(c), get(rows), get(columns)),
      ),
    ];
  });
}

/**
 * block(args, scratch, a, b, c, rows, columns): pack a strip of A, then panel by panel of B run the tiles. The last,
 * narrower panel of C is computed at full width in a spill block and its valid columns copied, so the arithmetic is the same.
 */
function blockKernel(module: Assembler, tileRows: number, relaxed: boolean): Func {
  const packB = packKernel(module, TILE_COLUMNS);
  const packA = Array.from({ length: tileRows }, (_, i) => packKernel(module, i + 1));
  const tiles = Array.from({ length: tileRows }, (_, i) => tileKernel(module, i + 1, relaxed));
  const moveRows = rowMover(module);
  const stripOfA = packRows(module, packA);
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [args, scratch, a, b, c, rows, columns] = scope.args as [Local, Local, Local, Local, Local, Local, Local];
    const word = (name: keyof typeof PRODUCT_ARGS): Code => i32.load(get(args), PRODUCT_ARGS[name]);
    const [k0, k, j, i, width, tallest, height, panelA, panelB, bStride, to, ldc, stride] = Array.from(
      { length: 13 },
      () => scope.local('i32'),
    ) as [Local, Local, Local, Local, Local, Local, Local, Local, Local, Local, Local, Local, Local];
    const capped = (into: Local, value: Code, most: number): Code => [
      set(into, value),
      when(i32.gt(get(into), i32.of(most)), set(into, i32.of(most))),
    ];
    /** Columns j … of what was packed beforehand, from k0 on. */
    const tileOfPanel = i32.add(
      i32.add(get(b), i32.mul(i32.and(get(j), i32.of(-PANEL_COLUMNS)), word('bCol'))),
      i32.shl(i32.add(i32.mul(get(k0), i32.of(PANEL_COLUMNS)), i32.and(get(j), i32.of(PANEL_COLUMNS - 1))), i32.of(2)),
    );
    const packed = i32.add(get(scratch), i32.of(PANEL_B));
    const narrow = i32.lt(get(width), i32.of(TILE_COLUMNS));
    const widthBytes = i32.shl(get(width), i32.of(2));
    const edgeOfC = i32.add(get(c), i32.shl(get(j), i32.of(2)));
    const columnOfTiles: Code = [
      set(height, get(tallest)),
      set(panelA, i32.add(get(scratch), i32.of(PANEL_A))),
      set(to, i32.add(get(c), i32.shl(get(j), i32.of(2)))),
      set(stride, get(ldc)),
      when(narrow, [
        set(stride, i32.of(TILE_COLUMNS * 4)),
        set(to, i32.add(get(scratch), i32.of(SPILL))),
        when(get(k0), call(moveRows, get(to), get(stride), edgeOfC, get(ldc), get(rows), widthBytes)),
      ]),
      set(i, get(rows)),
      whileLoop(get(i), [
        when(i32.gt(get(height), get(i)), set(height, get(i))),
        tiles.map((tile, t) =>
          when(
            i32.eq(get(height), i32.of(t + 1)),
            call(tile, get(panelA), get(panelB), get(bStride), get(to), get(stride), get(k), get(k0)),
          ),
        ),
        set(panelA, i32.add(get(panelA), i32.shl(i32.mul(get(k), get(height)), i32.of(2)))),
        set(to, i32.add(get(to), i32.mul(get(stride), get(height)))),
        set(i, i32.sub(get(i), get(height))),
      ]),
      when(
        narrow,
        call(moveRows, edgeOfC, get(ldc), i32.add(get(scratch), i32.of(SPILL)), get(stride), get(rows), widthBytes),
      ),
    ];
    return [
      set(ldc, i32.shl(word('n'), i32.of(2))),
      set(tallest, evenHeight(rows, tileRows)),
      range(k0, i32.of(0), word('k'), i32.of(K_BLOCK), [
        capped(k, i32.sub(word('k'), get(k0)), K_BLOCK),
        call(
          stripOfA,
          i32.add(get(a), i32.mul(get(k0), word('aCol'))),
          word('aRow'),
          word('aCol'),
          get(k),
          get(rows),
          get(tallest),
          i32.add(get(scratch), i32.of(PANEL_A)),
        ),
        range(j, i32.of(0), get(columns), i32.of(TILE_COLUMNS), [
          capped(width, i32.sub(get(columns), get(j)), TILE_COLUMNS),
          when(
            word('panels'),
            [set(panelB, tileOfPanel), set(bStride, i32.of(PANEL_COLUMNS * 4))],
            [
              set(panelB, i32.add(get(b), i32.add(i32.mul(get(k0), word('bRow')), i32.mul(get(j), word('bCol'))))),
              call(packB, get(panelB), word('bCol'), word('bRow'), get(k), get(width), packed),
              set(panelB, packed),
              set(bStride, i32.of(TILE_COLUMNS * 4)),
            ],
          ),
          columnOfTiles,
        ]),
      ]),
    ];
  });
}

/** The height that covers `rows` in as few tiles as the tallest does, as evenly as it can: 16 rows by 4, not 5+5+5+1. */
function evenHeight(rows: Local, tallest: number): Code {
  const ceilDiv = (a: Code, b: Code): Code => i32.div(i32.sub(i32.add(a, b), i32.of(1)), b);
  return ceilDiv(get(rows), ceilDiv(get(rows), i32.of(tallest)));
}

/** stripOfA(src, rowStride, kStride, k, rows, height, dst): panels `height` rows high; the last as high as is left. */
function packRows(module: Assembler, packs: readonly Func[]): Func {
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [src, rowStride, kStride, k, rows, height, dst] = scope.args as
      [Local, Local, Local, Local, Local, Local, Local]; // prettier-ignore
    return whileLoop(get(rows), [
      when(i32.gt(get(height), get(rows)), set(height, get(rows))),
      packs.map((pack, i) =>
        when(
          i32.eq(get(height), i32.of(i + 1)),
          call(pack, get(src), get(rowStride), get(kStride), get(k), i32.of(i + 1), get(dst)),
        ),
      ),
      set(src, i32.add(get(src), i32.mul(get(rowStride), get(height)))),
      set(dst, i32.add(get(dst), i32.shl(i32.mul(get(k), get(height)), i32.of(2)))),
      set(rows, i32.sub(get(rows), get(height))),
    ]);
  });
}

/** moveRows(to, toStride, from, fromStride, rows, bytes). */
function rowMover(module: Assembler): Func {
  return module.func(null, ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], null, (scope) => {
    const [to, toStride, from, fromStride, rows, bytes] = scope.args as [Local, Local, Local, Local, Local, Local];
    return whileLoop(get(rows), [
      memory.copy(get(to), get(from), get(bytes)),
      set(to, i32.add(get(to), get(toStride))),
      set(from, i32.add(get(from), get(fromStride))),
      set(rows, i32.sub(get(rows), i32.of(1))),
    ]);
  });
}
