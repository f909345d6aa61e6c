/** The matrix product against a plain loop, and its promise that no bit depends on the batch or on the threads. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeWasmHost } from '../wasm.node.ts';
import { Gemm, type Product } from './gemm.ts';
import { hasRelaxedSimd, type KernelOptions } from './module.ts';
import { panelFloats, PANELS_ARGS, panelsOf } from './panels.ts';
import { type Heap, ThreadTeam } from './threads.ts';

/** A heap that only grows: enough for a test. */
class TestHeap implements Heap {
  readonly memory: WebAssembly.Memory;
  private top = 1024;
  constructor(shared: boolean) {
    this.memory = new WebAssembly.Memory({ initial: 64, maximum: 4096, shared });
  }
  allocate(bytes: number): number {
    const address = (this.top + 15) & ~15;
    this.top = address + bytes;
    const missing = Math.ceil((this.top - this.memory.buffer.byteLength) / 65536);
    if (missing > 0) this.memory.grow(missing);
    return address;
  }
  free(): void {}
  put(values: Float32Array): number {
    const address = this.allocate(values.byteLength);
    new Float32Array(this.memory.buffer, address, values.length).set(values);
    return address;
  }
}

type Machine = { heap: TestHeap; team: ThreadTeam; gemm: Gemm };

async function machine(options: KernelOptions, helpers: number): Promise<Machine> {
  const heap = new TestHeap(options.shared);
  const team = await ThreadTeam.open(heap, options, helpers, options.shared ? nodeWasmHost.startHelper : null);
  return { heap, team, gemm: new Gemm(heap, team) };
}

function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
}

function filled(count: number, next: () => number): Float32Array {
  return Float32Array.from({ length: count }, next);
}

type Case = {
  m: number;
  n: number;
  k: number;
  transposeA: boolean;
  transposeB: boolean;
  indexA?: number[];
  indexB?: number[];
};

/** Runs one product; checks that nothing beyond C is written. */
function product({ heap, gemm }: Machine, a: Float32Array, b: Float32Array, c: Case): Float32Array {
  const { indexA = [0], indexB = [0], ...shape } = c;
  const size = indexA.length * c.m * c.n;
  const guard = 12345;
  const at = heap.put(new Float32Array(size + 1).fill(NaN).fill(guard, size));
  const p: Product = { a: heap.put(a), b: heap.put(b), c: at, indexA, indexB, ...shape };
  gemm.multiply(p);
  const all = new Float32Array(heap.memory.buffer, at, size + 1);
  expect(all[size]).toBe(guard);
  return all.slice(0, size);
}

function plain(a: Float32Array, b: Float32Array, c: Case): Float64Array {
  const { m, n, k, indexA = [0], indexB = [0] } = c;
  const out = new Float64Array(indexA.length * m * n);
  for (let q = 0; q < indexA.length; q++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let t = 0; t < k; t++) {
          const x = a[indexA[q]! * m * k + (c.transposeA ? t * m + i : i * k + t)]!;
          sum += x * b[indexB[q]! * k * n + (c.transposeB ? j * k + t : t * n + j)]!;
        }
        out[(q * m + i) * n + j] = sum;
      }
    }
  }
  return out;
}

function largestError(got: Float32Array, want: Float64Array): number {
  return got.reduce(
    (worst, value, i) => Math.max(worst, Number.isFinite(value) ? Math.abs(value - want[i]!) : Infinity),
    0,
  );
}

const ORIENTATIONS = [false, true].flatMap((transposeA) =>
  [false, true].map((transposeB) => ({ transposeA, transposeB })),
);
const relaxed = (nodeWasmHost.prepare(), hasRelaxedSimd());

describe.each([
  { tileRows: 4, relaxed: false, shared: false, helpers: 0 },
  { tileRows: 6, relaxed: false, shared: false, helpers: 0 },
  { tileRows: 4, relaxed, shared: true, helpers: 2 },
  { tileRows: 6, relaxed, shared: true, helpers: 1 },
])('products with %o', ({ helpers, ...options }) => {
  let it4: Machine;
  beforeAll(async () => {
    it4 = await machine(options, helpers);
  });
  afterAll(() => it4.team.close());

  it('agree with a plain loop for odd shapes in all orientations', () => {
    const next = random(7);
    const size = (most: number): number => 1 + Math.floor((next() + 0.5) * most);
    for (let round = 0; round < 40; round++) {
      const [m, n, k] =
        round % 4 === 0 ? [1, size(70), size(600)] : [size(round % 8 === 1 ? 300 : 30), size(60), size(300)];
      const [a, b] = [filled(m! * k!, next), filled(k! * n!, next)];
      for (const o of ORIENTATIONS) {
        const c: Case = { m: m!, n: n!, k: k!, ...o };
        expect(largestError(product(it4, a, b, c), plain(a, b, c)), JSON.stringify(c)).toBeLessThan(2e-5);
      }
    }
  });

  it('broadcast either operand over a batch', () => {
    const next = random(3);
    const [a, b] = [filled(3 * 5 * 9, next), filled(2 * 9 * 11, next)];
    for (const o of ORIENTATIONS) {
      const c: Case = { m: 5, n: 11, k: 9, ...o, indexA: [0, 0, 1, 1, 2, 2], indexB: [0, 1, 0, 1, 0, 1] };
      expect(largestError(product(it4, a, b, c), plain(a, b, c))).toBeLessThan(2e-6);
    }
  });

  it('are zero where nothing is summed', () => {
    const c: Case = { m: 2, n: 3, k: 0, transposeA: false, transposeB: false };
    expect([...product(it4, new Float32Array(0), new Float32Array(0), c)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each(ORIENTATIONS)('give a row the same bits alone and among others: %o', ({ transposeA, transposeB }) => {
    const next = random(11);
    const [n, k] = [45, 531];
    const rows = Array.from({ length: 211 }, () => filled(k, next));
    const b = filled(n * k, next);
    const stacked = (count: number): Float32Array => {
      const a = new Float32Array(count * k);
      for (let i = 0; i < count; i++)
        for (let t = 0; t < k; t++) a[transposeA ? t * count + i : i * k + t] = rows[i]![t]!;
      return a;
    };
    const all = product(it4, stacked(211), b, { m: 211, n, k, transposeA, transposeB });
    for (const m of [1, 2, 3, 4, 5, 7, 16, 50]) {
      const few = product(it4, stacked(m), b, { m, n, k, transposeA, transposeB });
      expect(Buffer.from(few.buffer).equals(Buffer.from(all.buffer, 0, m * n * 4)), `${m} rows`).toBe(true);
    }
  });

  it('are the same to the bit with weights in panels', () => {
    const next = random(13);
    for (const [n, k] of [
      [1, 1],
      [45, 531],
      [64, 96],
      [135, 7],
    ] as const) {
      const b = filled(n * k, next);
      const from = it4.heap.put(b);
      const panels = it4.heap.put(new Float32Array(panelFloats(n, k)).fill(NaN));
      const args = { from, to: panels, n, k };
      for (const name in PANELS_ARGS) {
        const place = name as keyof typeof PANELS_ARGS;
        it4.team.view()[it4.team.args + PANELS_ARGS[place] / 4] = args[place];
      }
      it4.team.run('packPanels', panelsOf(n), true);
      for (const m of [1, 2, 5, 9, 211]) {
        const a = filled(m * k, next);
        const c: Case = { m, n, k, transposeA: false, transposeB: true };
        const plain = product(it4, a, b, c);
        const at = it4.heap.put(new Float32Array(m * n + 1).fill(NaN).fill(12345, m * n));
        const alone = { indexA: [0], indexB: [0], panels: true };
        it4.gemm.multiply({ a: it4.heap.put(a), b: panels, c: at, ...c, ...alone });
        const packed = new Float32Array(it4.heap.memory.buffer, at, m * n + 1).slice();
        expect(packed[m * n]).toBe(12345);
        expect(Buffer.from(packed.buffer, 0, m * n * 4).equals(Buffer.from(plain.buffer)), `${m} ${n} ${k}`).toBe(true);
      }
    }
  });
});

describe('threads', () => {
  it('change no bit', async () => {
    const next = random(5);
    const [m, n, k] = [150, 201, 300];
    const [a, b] = [filled(m * k, next), filled(k * n, next)];
    const results: Buffer[] = [];
    for (const helpers of [0, 1, 3]) {
      const it4 = await machine({ tileRows: 4, relaxed, shared: true }, helpers);
      for (const o of ORIENTATIONS) results.push(Buffer.from(product(it4, a, b, { m, n, k, ...o }).buffer));
      it4.team.close();
    }
    for (let i = 4; i < results.length; i++) expect(results[i]!.equals(results[i % 4]!)).toBe(true);
  });

  it('survive thousands of small jobs in a row', async () => {
    const it4 = await machine({ tileRows: 4, relaxed, shared: true }, 3);
    const next = random(9);
    const [m, n, k] = [40, 64, 64];
    const [a, b] = [filled(m * k, next), filled(k * n, next)];
    const p: Product = {
      a: it4.heap.put(a), b: it4.heap.put(b), c: it4.heap.put(new Float32Array(m * n)),
      m, n, k, transposeA: false, transposeB: true, indexA: [0], indexB: [0],
    }; // prettier-ignore
    const result = (): Float32Array => new Float32Array(it4.heap.memory.buffer, p.c, m * n).slice();
    it4.gemm.multiply(p);
    const first = Buffer.from(result().buffer);
    for (let i = 0; i < 3000; i++) {
      new Float32Array(it4.heap.memory.buffer, p.c, m * n).fill(0);
      it4.gemm.multiply(p);
      if (i % 100 === 0) expect(Buffer.from(result().buffer).equals(first)).toBe(true);
    }
    it4.team.close();
  });
});
