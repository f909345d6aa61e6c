/**
 * Batched matrix products in WebAssembly memory: C[i] = op(A[i]) · op(B[i]) with either operand transposed and any batch
 * broadcast. It decides how a product is cut into pieces for the threads; results do not depend on the cut.
 */
import { MAX_ROWS, PRODUCT_ARGS } from './product.ts';
import { TILE_COLUMNS } from './tile.ts';
import { type Heap, roundUp, type ThreadTeam } from './threads.ts';

/** Addresses in bytes; a [m, k] or, transposed, [k, m]; b [k, n] or [n, k]; c [batch, m, n], all row-major. */
export type Product = {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Which matrix of A and of B each batch item takes. */
  readonly indexA: readonly number[];
  readonly indexB: readonly number[];
  /** Whether b is a transposed matrix in panels (see panels.ts); it stands alone then. */
  readonly panels?: boolean;
};

/** Multiply-adds below which one thread is quicker than waking another: some ten microseconds. */
const SHARE_FROM = 150_000;
/** Pieces per thread, so that a slow thread delays the others little. */
const PIECES_PER_THREAD = 3;

export type Cut = {
  readonly rowBlock: number;
  readonly rowBlocks: number;
  readonly columnBlock: number;
  readonly columnBlocks: number;
};

/** Blocks of rows first (A is packed once), columns only where rows and batch are too few for the threads. */
export function cutProduct(batch: number, m: number, n: number, threads: number): Cut {
  const rowBlocks = Math.ceil(m / MAX_ROWS);
  const rowBlock = Math.ceil(m / rowBlocks);
  const wanted = threads === 1 ? 1 : Math.ceil((threads * PIECES_PER_THREAD) / (batch * rowBlocks));
  const smallest = m === 1 ? 64 : 4 * TILE_COLUMNS;
  const largest = m === 1 ? 2048 : n; // a row of C that stays in the first-level cache
  const columnBlock = Math.min(largest, Math.max(smallest, roundUp(Math.ceil(n / wanted), 16)));
  return { rowBlock, rowBlocks, columnBlock, columnBlocks: Math.ceil(n / columnBlock) };
}

export class Gemm {
  private readonly heap: Heap;
  private readonly team: ThreadTeam;
  private table = 0;
  private tableItems = 0;

  constructor(heap: Heap, team: ThreadTeam) {
    this.heap = heap;
    this.team = team;
  }

  multiply(p: Product): void {
    const batch = p.indexA.length;
    if (batch * p.m * p.n === 0) return;
    if (p.k === 0) {
      new Float32Array(this.heap.memory.buffer, p.c, batch * p.m * p.n).fill(0);
      return;
    }
    this.writeOffsets(p);
    const cut = cutProduct(batch, p.m, p.n, this.team.threads);
    const words = this.team.view();
    const base = this.team.args;
    const put = (name: keyof typeof PRODUCT_ARGS, value: number): void => {
      words[base + (PRODUCT_ARGS[name] >> 2)] = value;
    };
    put('a', p.a);
    put('b', p.b);
    put('c', p.c);
    put('m', p.m);
    put('n', p.n);
    put('k', p.k);
    put('aRow', p.transposeA ? 4 : p.k * 4);
    put('aCol', p.transposeA ? p.m * 4 : 4);
    put('bRow', p.transposeB ? 4 : p.n * 4);
    put('bCol', p.transposeB ? p.k * 4 : 4); // as much a column in panels
    put('panels', p.panels ? 1 : 0);
    put('offsets', this.table);
    put('rowBlock', cut.rowBlock);
    put('rowBlocks', cut.rowBlocks);
    put('columnBlock', cut.columnBlock);
    put('columnBlocks', cut.columnBlocks);
    this.team.run('product', batch * cut.rowBlocks * cut.columnBlocks, batch * p.m * p.n * p.k >= SHARE_FROM);
  }

  private writeOffsets(p: Product): void {
    const batch = p.indexA.length;
    if (batch > this.tableItems) {
      if (this.table) this.heap.free(this.table);
      this.tableItems = 2 * batch;
      this.table = this.heap.allocate(this.tableItems * 8);
    }
    const words = this.team.view();
    const at = this.table >>> 2;
    for (let i = 0; i < batch; i++) {
      words[at + 2 * i] = p.indexA[i]! * p.m * p.k * 4;
      words[at + 2 * i + 1] = p.indexB[i]! * p.k * p.n * 4;
    }
  }
}
