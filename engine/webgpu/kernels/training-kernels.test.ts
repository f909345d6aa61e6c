/** Every kernel of the training pass against its plain reference, on odd shapes, as it is cut for a GPU and for a CPU's emulation. */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { packRows, queryChunks } from '../packed-rows.ts';
import { playedWords } from '../matrix-testing.ts';
import type { MatrixUnit, MatrixWords } from '../matrix-unit.ts';
import { GPU_CUT, SOFTWARE_CUT, vectorCut, type Cut } from '../sized-kernel.ts';
import { largestDifference, runSized, someNumbers } from '../testing.ts';
import { adamwKernel, adamwReference } from './adamw.ts';
import {
  attendReference,
  KEY_TILE,
  mixKeysKernel,
  mixRowsKernel,
  rowDotsKernel,
  SCORE_MODE,
  scoreRowsKernel,
  weighRowsKernel,
} from './attend-rows.ts';
import { columnSumsKernel, columnSumsReference } from './column-sums.ts';
import {
  carryLogitsKernel,
  logitsGradKernel,
  logitsGradReference,
  scoreLogitsKernel,
  scoreLogitsReference,
} from './head-scores.ts';
import { normRowsGradKernel, normRowsGradReference, normRowsKernel, normRowsReference } from './norm-rows.ts';
import { rotateRowsKernel, rotateRowsReference } from './rotate-rows.ts';
import { swigluGradKernel, swigluGradReference, swigluKernel, swigluReference } from './swiglu.ts';
import {
  embedGradKernel,
  embedGradReference,
  membersByToken,
  NO_ROW,
  takeRowsKernel,
  takeRowsReference,
} from './take-rows.ts';
import { PRODUCT_MODE } from './product-tiles.ts';
import { productItems, productKernel, productReference, type ProductShape } from './product.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;
const CUTS = { gpu: GPU_CUT, software: SOFTWARE_CUT };
/** Only products differ where a vector's threads hand numbers round. */
const vectors =
  typeof adapter === 'string'
    ? null
    : vectorCut({ features: adapter.adapter.features, adapterInfo: adapter.adapter.info });
const noVectors = absent ?? (vectors ? null : 'skipped: no subgroups of one size');

const PRODUCTS: readonly ProductShape[] = [
  { orientation: 'nt', m: 3, n: 5, k: 8, mode: 'replace', alpha: 1 },
  { orientation: 'nt', m: 71, n: 133, k: 36, mode: 'plusRow', alpha: 1 },
  { orientation: 'nt', m: 9, n: 66, k: 20, mode: 'plusMatrix', alpha: -2 },
  { orientation: 'nn', m: 1, n: 4, k: 4, mode: 'replace', alpha: 0.5 },
  { orientation: 'nn', m: 67, n: 140, k: 52, mode: 'add', alpha: 1 },
  { orientation: 'tn', m: 4, n: 8, k: 1, mode: 'replace', alpha: 1 },
  { orientation: 'tn', m: 76, n: 132, k: 37, mode: 'add', alpha: 0.3 },
];

async function checkProduct(shape: ProductShape, cut: Cut, words?: MatrixWords): Promise<void> {
  const { orientation, m, n, k, mode, alpha } = shape;
  const inputs = {
    ...{ a: someNumbers(m * k, 1), b: someNumbers(n * k, 2) },
    ...{ addend: someNumbers(mode === 'plusRow' ? n : m * n, 3), c: someNumbers(m * n, 4) },
  };
  const sizes = { m, n, k, mode: PRODUCT_MODE[mode], alpha };
  const got = await runSized(productKernel(orientation, cut, words), productItems(m, n, cut), sizes, inputs);
  expect(largestDifference(got.c, productReference(shape, inputs))).toBeLessThan(1e-4);
}

describe.skipIf(noVectors)(`products handed round in a vector ${noVectors ?? ''}`, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each(PRODUCTS)('product %j', { timeout: 300_000 }, (shape) => checkProduct(shape, vectors!));
});

/** Whether `f16` compiles here, which units of halves want even where they are played. */
const halves = typeof adapter !== 'string' && adapter.adapter.features.has('shader-f16');
/** With half as many subgroups as there are blocks, all take two turns. */
const UNITS = [
  { unit: { m: 8, n: 32, k: 16, half: false }, turns: 1, orientations: ['nn', 'nt', 'tn'] },
  { unit: { m: 16, n: 16, k: 8, half: false }, turns: 2, orientations: ['nt'] },
  { unit: { m: 16, n: 32, k: 16, half: true }, turns: 1, orientations: ['tn'] },
] as const;

describe.skipIf(noVectors)(`products on matrix units, played ${noVectors ?? ''}`, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  const lanes = vectors?.handRound ?? 1;
  const unitOf = ({ unit, turns }: (typeof UNITS)[number]): MatrixUnit => ({
    ...{ ...unit, subgroup: lanes / turns, layout: 'named' },
  });

  it.each(UNITS)('%j', { timeout: 300_000 }, async (of) => {
    const unit = unitOf(of);
    if (unit.half && !halves) return;
    const own = PRODUCTS.filter(({ orientation }) => (of.orientations as readonly string[]).includes(orientation));
    for (const product of own) await checkProduct(product, { ...GPU_CUT, matrix: unit }, playedWords(unit, lanes));
  });

  it.skipIf(!halves)(
    'keep the digits that halves lack, and numbers too small for them',
    { timeout: 300_000 },
    async () => {
      const unit = unitOf(UNITS[2]);
      const shape = { orientation: 'tn', m: 20, n: 12, k: 48, mode: 'replace', alpha: 1 } as const;
      const inputs = { a: someNumbers(20 * 48, 1, 1e-6), b: someNumbers(12 * 48, 2, 30), addend: new Float32Array(1), c: new Float32Array(240) }; // prettier-ignore
      const kernel = productKernel('tn', { ...GPU_CUT, matrix: unit }, playedWords(unit, lanes));
      const sizes = { m: 20, n: 12, k: 48, mode: PRODUCT_MODE.replace, alpha: 1 };
      const got = await runSized(kernel, productItems(20, 12, { ...GPU_CUT, matrix: unit }), sizes, inputs);
      const wanted = productReference(shape, inputs);
      const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(largestDifference(got.c, wanted) / largest).toBeLessThan(5e-4);
    },
  );
});

const noSubgroups =
  absent ?? (typeof adapter !== 'string' && adapter.adapter.features.has('subgroups') ? null : 'skipped: no subgroups');

describe.skipIf(noSubgroups)(`rows reduced by subgroups ${noSubgroups ?? ''}`, () => {
  const cut = { ...GPU_CUT, subgroups: true };
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each([1, 41])('sums: the norm of %i rows', async (rows) => {
    const x = { x: someNumbers(rows * 300, 1), weight: someNumbers(300, 2) };
    const outputs = { y: new Float32Array(rows * 300), scale: new Float32Array(rows) };
    const got = await runSized(normRowsKernel(1e-3, cut), rows, { c4: 75 }, { ...x, ...outputs });
    expect(largestDifference(got.y, normRowsReference(1e-3, x).y)).toBeLessThan(1e-5);
  });

  it('maxima: scores of given tokens', async () => {
    const [rows, vocab] = [5, 132];
    const [ids, z] = [Uint32Array.of(0, 131, 63, 64, 7), someNumbers(5 * 132, 1, 4)];
    const inputs = { ids, z, carried: someNumbers(rows * 4, 3) };
    const { carried } = await runSized(carryLogitsKernel(cut), rows, { first: 0, width: vocab }, inputs);
    const scores = new Float32Array(rows * 2);
    const got = await runSized(scoreLogitsKernel(cut), rows, {}, { carried, scores });
    expect(largestDifference(got.scores, scoreLogitsReference({ z, ids, vocab }))).toBeLessThan(1e-4);
  });
});

describe.skipIf(absent).each(['gpu', 'software'] as const)(`training kernels cut for %s ${absent ?? ''}`, (name) => {
  const cut = CUTS[name];
  let device: Device;

  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each(PRODUCTS)('product %j', { timeout: 300_000 }, (shape) => checkProduct(shape, cut));

  it.each([
    { rows: 1, columns: 4 },
    { rows: 41, columns: 300 },
  ])('norm of rows and its gradient %j', async ({ rows, columns }) => {
    const x = { x: someNumbers(rows * columns, 1), weight: someNumbers(columns, 2) };
    const [dy, dx] = [someNumbers(rows * columns, 3), someNumbers(rows * columns, 4)];
    const outputs = { y: new Float32Array(rows * columns), scale: new Float32Array(rows) };
    const got = await runSized(normRowsKernel(1e-3, cut), rows, { c4: columns / 4 }, { ...x, ...outputs });
    const wanted = normRowsReference(1e-3, x);
    expect(largestDifference(got.y, wanted.y)).toBeLessThan(1e-5);
    expect(largestDifference(got.scale, wanted.scale)).toBeLessThan(1e-5);
    if (rows > 1) return;
    const sizes = { c4: columns / 4, add: 1 };
    const back = await runSized(normRowsGradKernel(cut), rows, sizes, { ...x, scale: wanted.scale, dy, dx });
    const slope = normRowsGradReference(1e-3, x, dy).map((v, i) => v + dx[i]);
    expect(largestDifference(back.dx, slope)).toBeLessThan(2e-3);
  });

  it('gradient of a norm of many rows', async () => {
    const [rows, columns] = [9, 12];
    const x = { x: someNumbers(rows * columns, 1, 2), weight: someNumbers(columns, 2) };
    const { scale } = normRowsReference(1e-3, x);
    const [dy, dx] = [someNumbers(rows * columns, 3), new Float32Array(rows * columns)];
    const got = await runSized(normRowsGradKernel(cut), rows, { c4: 3, add: 0 }, { ...x, scale, dy, dx });
    expect(largestDifference(got.dx, normRowsGradReference(1e-3, x, dy))).toBeLessThan(2e-3);
  });

  it.each([
    { rows: 1, stretch: 1, columns: 4 },
    { rows: 70, stretch: 64, columns: 20 },
  ])('column sums %j', async ({ rows, stretch, columns }) => {
    const [dy, x, scale] = [someNumbers(rows * columns, 1), someNumbers(rows * columns, 2), someNumbers(rows, 3)];
    const stretches = Math.ceil(rows / stretch);
    const sizes = { rows, c4: columns / 4, stretch };
    const y = new Float32Array(stretches * columns);
    const count = (stretches * columns) / 4;
    const sumUp = (parts: Float32Array): Float32Array => columnSumsReference(columns, parts);
    const plain = await runSized(columnSumsKernel(cut), count, { ...sizes, weighted: 0, alpha: 1 }, { dy, y });
    expect(largestDifference(sumUp(plain.y), columnSumsReference(columns, dy))).toBeLessThan(1e-4);
    const weighted = await runSized(
      columnSumsKernel(cut),
      count,
      { ...sizes, weighted: 1, alpha: 1 },
      { dy, x, scale, y },
    );
    expect(largestDifference(sumUp(weighted.y), columnSumsReference(columns, dy, x, scale))).toBeLessThan(1e-4);
  });

  it('rotation of rows, and back', async () => {
    const [headDim, heads, rows] = [20, 3, 11];
    const inputs = {
      positions: Uint32Array.from({ length: rows }, (_, i) => (i * 7) % 13),
      table: someNumbers(13 * headDim, 1),
      x: someNumbers(rows * heads * headDim, 2),
    };
    for (const sign of [1, -1]) {
      const count = (rows * heads * headDim) / 2;
      const got = await runSized(rotateRowsKernel(headDim, cut), count, { heads, sign }, inputs);
      expect(largestDifference(got.x, rotateRowsReference(headDim, heads, sign, inputs))).toBeLessThan(1e-5);
    }
  });

  it('swiglu and its gradient', async () => {
    const [gate, up, dy] = [someNumbers(132, 1, 6), someNumbers(132, 2), someNumbers(132, 3)];
    const got = await runSized(swigluKernel(cut), 33, {}, { gate, up, y: new Float32Array(132) });
    expect(largestDifference(got.y, swigluReference(gate, up))).toBeLessThan(1e-5);
    const back = await runSized(swigluGradKernel(cut), 33, {}, { gate, up, dy, dup: new Float32Array(132) });
    const wanted = swigluGradReference(gate, up, dy);
    expect(largestDifference(back.dy, wanted.dy)).toBeLessThan(1e-3);
    expect(largestDifference(back.dup, wanted.dup)).toBeLessThan(1e-5);
  });

  it('rows by number, from a matrix in parts', async () => {
    const [columns, held] = [8, 9];
    const rows = Uint32Array.of(3, NO_ROW, 0, 8, 3);
    const x = someNumbers(held * columns, 1);
    let y = someNumbers(rows.length * columns, 2);
    for (const [first, count] of [
      [0, 4],
      [4, 5],
    ])
      // prettier-ignore
      y = (
        await runSized(takeRowsKernel(cut), (rows.length * columns) / 4, { c4: columns / 4, first, held: count }, {
          rows,
          ...{ x: x.slice(first * columns, (first + count) * columns), y },
        })
      ).y;
    expect([...y]).toEqual([...takeRowsReference(columns, rows, x)]);
  });

  it('gradient of the embedding, in parts', async () => {
    const [columns, vocab] = [8, 13];
    const ids = Int32Array.of(12, 0, 5, 12, 12, 4);
    const dx = someNumbers(ids.length * columns, 1);
    const wanted = embedGradReference(columns, vocab, ids, dx);
    for (const [first, held] of [
      [0, 5],
      [5, 8],
    ]) {
      // prettier-ignore
      const inputs = { ...membersByToken(ids, vocab), dx, dy: someNumbers(held * columns, 2) };
      const got = await runSized(embedGradKernel(cut), held * 2, { c4: 2, first, alpha: 1 }, inputs);
      expect(largestDifference(got.dy, wanted.subarray(first * columns, (first + held) * columns))).toBeLessThan(1e-5);
    }
  });

  it('scores of given tokens from logits in stretches, and the gradient of the logits', async () => {
    const [rows, vocab] = [5, 132];
    const ids = Uint32Array.of(0, 131, 63, 64, 7);
    const z = someNumbers(rows * vocab, 1, 4);
    const dy = someNumbers(rows * 2, 2);
    const stretch = (first: number, width: number): Float32Array =>
      Float32Array.from({ length: rows * width }, (_, i) => z[Math.floor(i / width) * vocab + first + (i % width)]);
    let carried = someNumbers(rows * 4, 3);
    for (const [first, width] of [
      [0, 64],
      [64, 68],
    ])
      // prettier-ignore
      carried = (await runSized(carryLogitsKernel(cut), rows, { first, width }, { ids, z: stretch(first, width), carried }))
        .carried as Float32Array<ArrayBuffer>;
    const { scores } = await runSized(
      scoreLogitsKernel(cut),
      rows,
      {},
      { carried, scores: new Float32Array(rows * 2) },
    );
    expect(largestDifference(scores, scoreLogitsReference({ z, ids, vocab }))).toBeLessThan(1e-4);
    const wanted = logitsGradReference({ z, ids, vocab }, dy);
    const sizes = { first: 0, w4: vocab / 4, ofEntropy: 1 };
    const back = await runSized(logitsGradKernel(cut), (rows * vocab) / 4, sizes, { ids, carried, dy, z });
    expect(largestDifference(back.z, wanted)).toBeLessThan(2e-3);
  });

  it.each([
    { heads: 6, kvHeads: 2, headDim: 12, prefix: [7, 7, 7, 7, 7], most: 1 },
    { heads: 2, kvHeads: 2, headDim: 4, prefix: [], most: 10_000 },
  ])('attention and its gradients %j', { timeout: 300_000 }, async ({ prefix, most, ...shape }) => {
    const { heads, kvHeads, headDim } = shape;
    const batch = { prefix: Int32Array.from(prefix), ids: new Int32Array(39), batch: 3, length: 13, lengths: Int32Array.of(13, 2, 9) }; // prettier-ignore
    const rows = packRows(batch, Int32Array.of(12, 14, 34));
    const sights = Array.from(rows.positions, (position, row) => {
      const before = row < prefix.length ? 0 : prefix.length;
      return { begin: row - (position - before), before };
    });
    const sizeOf = (columns: number): number => rows.count * columns * headDim;
    const [q, k, v] = [
      someNumbers(sizeOf(heads), 1, 2),
      someNumbers(sizeOf(kvHeads), 2, 2),
      someNumbers(sizeOf(kvHeads), 3),
    ];
    const dMixed = someNumbers(sizeOf(heads), 4);
    const scratch = new Float32Array(rows.count * heads * rows.stride);
    const got = {
      ...{ mixed: new Float32Array(q.length), lse: new Float32Array(rows.count * heads) },
      ...{ dq: new Float32Array(q.length), dk: someNumbers(k.length, 5), dv: someNumbers(v.length, 6) },
    };
    const [tiles, positions, stride] = [rows.queryTiles, rows.positions, rows.stride];
    const chunks = queryChunks(rows, heads, most);
    expect(chunks.length > 1).toBe(most === 1);
    const score = async (
      chunk: (typeof chunks)[number],
      mode: keyof typeof SCORE_MODE,
      inputs: Record<string, Float32Array>,
    ) => {
      const count = (chunk.tiles * heads * stride) / KEY_TILE;
      const sizes = { firstTile: chunk.firstTile, firstRow: chunk.firstRow, stride, mode: SCORE_MODE[mode] };
      return (await runSized(scoreRowsKernel(shape, cut), count, sizes, { tiles, out: scratch, ...inputs })).out;
    };
    const mix = async (chunk: (typeof chunks)[number], p: Float32Array, x: Float32Array, y: Float32Array) =>
      (
        await runSized(
          mixRowsKernel(shape, cut),
          (chunk.tiles * heads * headDim) / 4,
          { ...chunk, stride },
          { tiles, p, x, y },
        )
      ).y;
    const mixKeys = async (chunk: (typeof chunks)[number], p: Float32Array, x: Float32Array, y: Float32Array) => {
      const count = (rows.keyTiles.length / 4) * kvHeads * (headDim / 4);
      const sizes = { ...chunk, stride, add: chunk.firstRow > 0 ? 1 : 0 };
      return (await runSized(mixKeysKernel(shape, cut), count, sizes, { tiles: rows.keyTiles, p, x, y })).y;
    };
    for (const chunk of chunks) {
      const raw = await score(chunk, 'scores', { x: q, y: k });
      const count = (chunk.endRow - chunk.firstRow) * heads;
      const weighed = await runSized(
        weighRowsKernel(shape, cut),
        count,
        { ...chunk, stride },
        { positions, p: raw, lse: got.lse },
      );
      got.lse = weighed.lse as Float32Array<ArrayBuffer>;
      got.mixed = (await mix(chunk, weighed.p, v, got.mixed)) as Float32Array<ArrayBuffer>;
    }
    expect(largestDifference(got.mixed, attendReference(shape, sights, { q, k, v }))).toBeLessThan(1e-5);
    const dots = await runSized(
      rowDotsKernel(shape, cut),
      rows.count * heads,
      {},
      { x: dMixed, y: got.mixed, out: got.lse },
    );
    for (const chunk of chunks) {
      const p = await score(chunk, 'weights', { x: q, y: k, stats: got.lse });
      const ds = await score(chunk, 'gradient', { x: dMixed, y: v, stats: dots.out, p });
      got.dq = (await mix(chunk, ds, k, got.dq)) as Float32Array<ArrayBuffer>;
      got.dk = (await mixKeys(chunk, ds, q, got.dk)) as Float32Array<ArrayBuffer>;
      got.dv = (await mixKeys(chunk, p, dMixed, got.dv)) as Float32Array<ArrayBuffer>;
    }
    const loss = (inputs: { q: Float32Array; k: Float32Array; v: Float32Array }): number =>
      attendReference(shape, sights, inputs).reduce((sum, x, i) => sum + x * dMixed[i], 0);
    for (const [name, x, d] of [
      ['q', q, got.dq],
      ['k', k, got.dk],
      ['v', v, got.dv],
    ] as const) {
      // prettier-ignore
      for (let i = 3; i < x.length; i += 23) {
        const moved = (by: number): number => loss({ q, k, v, [name]: x.with(i, x[i] + by) });
        expect(d[i], `d${name}[${i}]`).toBeCloseTo((moved(1e-2) - moved(-1e-2)) / 2e-2, 2);
      }
    }
  });

  it('AdamW of a stretch', async () => {
    const arrays = { g: someNumbers(70, 1), p: someNumbers(70, 2), m: someNumbers(70, 3), v: someNumbers(70, 4).map(Math.abs) }; // prettier-ignore
    const factors = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, scale: 0.5, step: 0.03, root: 0.2, decay: 0.99 };
    const sizes = { ...factors, rest1: 1 - factors.beta1, rest2: 1 - factors.beta2, first: 3 };
    const got = await runSized(adamwKernel(cut), 66, sizes, arrays);
    const wanted = adamwReference(factors, 3, 66, arrays);
    for (const name of ['p', 'm', 'v'] as const) expect(largestDifference(got[name], wanted[name])).toBeLessThan(1e-6);
  });
});
