/** Every kernel of the trunk against its plain reference, on odd shapes, as it is cut for a GPU and for a CPU's emulation. */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { GPU_TUNING, SOFTWARE_TUNING, vectorTuning } from '../kernel.ts';
import { PAGE } from '../page-pool.ts';
import { largestDifference, runKernel, someNumbers, somePages, someRows } from '../testing.ts';
import { attentionKernel, attentionReference, combineKernel, spanNumbers } from './attention.ts';
import { copyKeysKernel, copyKeysReference } from './copy-keys.ts';
import { drawKernel, drawReference } from './draw.ts';
import { embedKernel, embedReference } from './embed.ts';
import { gatedKernel, gatedReference } from './gated.ts';
import { headTilesKernel, headTilesReference, RECORD, runsOf } from './head-tiles.ts';
import { linearKernel, linearReference, type LinearShape } from './linear.ts';
import { rmsNormKernel, rmsNormReference } from './rms-norm.ts';
import { rotateKernel, rotateReference, type HeadsShape } from './rotate.ts';
import { read, someStored } from './half-testing.ts';
import { PRECISIONS, somePacked } from './packed-testing.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;
/** Fewer sums at once than in use: software drivers take seconds to compile a large product. */
const TUNINGS = {
  gpu: { ...GPU_TUNING, rows: [2] },
  software: { ...SOFTWARE_TUNING, outputs: 2, rows: [2] },
  'software with vectors': { ...vectorTuning(8), outputs: 2, rows: [2, 8] },
};
const KEYS = ['f32', 'f16'] as const;
const CUTS = ['gpu', 'software', 'software with vectors'] as const;

/** Queries of `count` rows, pages of three slots of keys and values, and what these stand for. */
function someAttention(shape: HeadsShape, count: number) {
  const { pages, count: all } = somePages(3, shape.capacity);
  const size = all * shape.kvHeads * PAGE * shape.headDim;
  const [k, v] = [someStored(shape.keys, size, 2), someStored(shape.keys, size, 3)];
  const q = someNumbers(count * shape.heads * shape.headDim, 1, 3);
  const keys = { pages, k: k.values, v: v.values };
  return { pages, inputs: { q, k: k.bound, v: v.bound, y: new Float32Array(q.length) }, keys };
}

describe.skipIf(absent).each(CUTS)(`kernels cut for %s ${absent ?? ''}`, (cut) => {
  const tuning = TUNINGS[cut];
  let device: Device;

  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each([
    { rows: 3, columns: 20, first: 0, count: 11 },
    { rows: 70, columns: 264, first: 5, count: 4 },
  ])('embed %j', async ({ rows, columns, first, count }) => {
    const ids = Int32Array.from({ length: rows }, (_, i) => (i * 3) % 11);
    const inputs = { ids, table: someNumbers(count * columns, 1), y: someNumbers(rows * columns, 2) };
    const got = await runKernel(embedKernel(columns, { first, count }, tuning), inputs, someRows(rows, 4, 9));
    expect([...got.y]).toEqual([...embedReference(columns, { first, count }, inputs)]);
  });

  it.each([
    { count: 1, columns: 4, pick: false },
    { count: 7, columns: 300, pick: false },
    { count: 9, columns: 68, pick: true },
  ])('rms norm %j', async ({ count, columns, pick }) => {
    const rows = someRows(count, 3, 9);
    const inputs = {
      x: someNumbers(count * columns, 3),
      weight: someNumbers(columns, 4),
      y: someNumbers(count * columns, 5),
    };
    const got = await runKernel(rmsNormKernel({ columns, eps: 1e-5, pick }, tuning), inputs, rows);
    expect(largestDifference(got.y, rmsNormReference({ columns, eps: 1e-5, pick }, { ...inputs, rows }))).toBeLessThan(
      1e-5,
    );
  });

  it.skipIf(cut !== 'gpu').each([
    ['f32', 70, { columns: 52, parts: [70, 3], bias: true, accumulate: false, rank: 4, adapters: 2 }],
    ['q8', 3, { columns: 100, parts: [65], bias: false, accumulate: true, rank: 0, adapters: 0 }],
    ['q4', 65, { columns: 20, parts: [5], bias: false, accumulate: false, rank: 0, adapters: 0 }],
  ] as [(typeof PRECISIONS)[number], number, LinearShape][])(
    'linear of prompts, %s: %i rows, %j',
    async (precision, rows, shape) => {
      const total = shape.parts.reduce((a, b) => a + b, 0);
      const { format, bound, values } = await somePacked(precision, total, shape.columns, 1);
      const low = shape.adapters * shape.rank;
      const inputs = {
        ...{ x: someNumbers(rows * shape.columns, 9), w: bound, bias: someNumbers(total, 10) },
        ...{ u: someNumbers(rows * shape.parts.length * low, 11), b: someNumbers(low * total, 12) },
        y: someNumbers(rows * total, 13),
      };
      const own = someRows(rows, 4, 9, shape.adapters);
      const got = await runKernel(linearKernel(shape, format, tuning, 'prompts'), inputs, own);
      const { bias, y, ...always } = { ...inputs, w: values };
      const parts = { ...(shape.bias ? { bias } : {}), ...(shape.accumulate ? { y } : {}) };
      const wanted = linearReference(shape, { ...always, ...parts, rows: own });
      expect(largestDifference(got.y, wanted)).toBeLessThan(1e-4);
    },
  );

  it.skipIf(cut !== 'gpu').each(PRECISIONS)('gated of prompts, %s', async (precision) => {
    const [rows, columns, outputs] = [67, 36, 70];
    const gate = await somePacked(precision, outputs, columns, 2);
    const up = await somePacked(precision, outputs, columns, 3);
    const shape = { columns, outputs, rank: 0, adapters: 0 };
    const x = someNumbers(rows * columns, 1, 0.1);
    const inputs = { x, gate: gate.bound, up: up.bound, y: new Float32Array(rows * outputs) };
    const got = await runKernel(gatedKernel(shape, gate.format, tuning, 'prompts'), inputs, someRows(rows, 4, 9));
    const wanted = gatedReference(shape, { x, gate: gate.values, up: up.values });
    expect(largestDifference(got.y, wanted)).toBeLessThan(1e-4);
  });

  it.skipIf(cut !== 'gpu').each([
    ['f32', 1],
    ['q8', 3],
    ['f16', 4],
  ] as const)(
    'products that normalise their rows come to the bits of those after a norm: %s, %i rows',
    async (precision, count) => {
      const own = { ...tuning, rows: [1, 4] };
      const [columns, outputs, normEps] = [292, 37, 1e-5];
      const rows = someRows(count, 4, 9, 2);
      const x = someNumbers(count * columns, 1, 3);
      const gain = someNumbers(columns, 2).map((v) => v + 1);
      const norm = rmsNormKernel({ columns, eps: normEps, pick: false }, own);
      const { y: normed } = await runKernel(norm, { x, weight: gain, y: new Float32Array(x.length) }, rows);
      const [w, up] = [
        await somePacked(precision, outputs, columns, 3),
        await somePacked(precision, outputs, columns, 4),
      ];
      const always = { w: w.bound, gate: w.bound, up: up.bound, bias: someNumbers(outputs, 5) };
      const low = { u: someNumbers(count * 2 * 2 * 4, 6), b: someNumbers(2 * 2 * outputs * 4, 7) };
      const inputs = { ...always, ...low, y: new Float32Array(count * outputs) };
      const lora = { columns, rank: 4, adapters: 2 };
      const linear = { ...lora, parts: [30, 7], bias: true, accumulate: false };
      for (const made of [
        (norm: object) => linearKernel({ ...linear, ...norm }, w.format, own, count),
        (norm: object) => gatedKernel({ ...lora, outputs, ...norm }, w.format, own, count),
      ]) {
        const after = await runKernel(made({}), { ...inputs, x: normed }, rows);
        const whole = await runKernel(made({ normEps }), { ...inputs, x, gain }, rows);
        expect([...whole.y]).toEqual([...after.y]);
        expect(Math.max(...after.y)).toBeGreaterThan(0);
      }
    },
  );

  const plain = { bias: false, accumulate: false, rank: 0, adapters: 0 };
  it.skipIf(cut !== 'software with vectors').each([
    ['f32', 16, 64, true],
    ['q8', 11, 64, true],
    ['f32', 17, 64, false], // beyond a tile
    ['f32', 16, 68, false], // windows would begin anywhere
  ] as const)(
    'rows in windows come to the bits of those in storage: %s, %i rows of %i',
    async (precision, count, columns, within) => {
      const outputs = 37;
      const own = { ...tuning, rows: [16] };
      const { format, bound } = await somePacked(precision, outputs, columns, 3);
      const inputs = { x: someNumbers(count * columns, 1), w: bound, y: new Float32Array(count * outputs) };
      const made = (rows: number) => linearKernel({ ...plain, columns, parts: [outputs] }, format, own, rows);
      const kernel = made(count);
      expect(kernel.bindings.map(({ windows }) => windows?.count ?? 0)).toEqual([0, within ? 2 : 0, 0, 0]);
      const got = await runKernel(kernel, inputs, someRows(count, 4, 9));
      const wanted = await runKernel(made(64), inputs, someRows(count, 4, 9));
      expect([...got.y]).toEqual([...wanted.y]);
      expect(Math.max(...got.y)).toBeGreaterThan(0);
    },
  );

  it.each([
    [1, { ...plain, columns: 52, parts: [133] }],
    [5, { ...plain, columns: 8, parts: [3, 1, 130], bias: true }],
    [11, { ...plain, columns: 100, parts: [37, 5], accumulate: true, rank: 4, adapters: 1 }],
    [8, { columns: 64, parts: [7, 9, 3], bias: true, accumulate: false, rank: 8, adapters: 3 }],
    [2, { ...plain, columns: 100, parts: [33, 5], bias: true }],
    [7, { ...plain, columns: 76, parts: [70], accumulate: true }],
  ] as [number, LinearShape][])('linear: %i rows, %j', async (rows, shape) => {
    const total = shape.parts.reduce((a, b) => a + b, 0);
    const precision = PRECISIONS[rows % 4];
    const { format, bound, values } = await somePacked(precision, total, shape.columns, 1);
    const inputs = {
      ...{ x: someNumbers(rows * shape.columns, 9), w: bound },
      ...{ bias: someNumbers(total, 10), y: someNumbers(rows * total, 13) },
      u: someNumbers(rows * shape.adapters * shape.parts.length * shape.rank, 11),
      b: someNumbers(shape.adapters * total * shape.rank, 12),
    };
    const own = someRows(rows, 4, 9, shape.adapters);
    const got = await runKernel(linearKernel(shape, format, tuning, rows), inputs, own);
    const { bias, y, ...always } = { ...inputs, w: values };
    const wanted = linearReference(shape, {
      ...always,
      rows: own,
      ...(shape.bias ? { bias } : {}),
      ...(shape.accumulate ? { y } : {}),
    });
    expect(largestDifference(got.y, wanted)).toBeLessThan(1e-4);
  });

  it.each([
    [1, { columns: 44, outputs: 131, rank: 0, adapters: 0 }],
    [9, { columns: 12, outputs: 5, rank: 4, adapters: 2 }],
    [2, { columns: 36, outputs: 37, rank: 0, adapters: 0 }],
    [3, { columns: 132, outputs: 9, rank: 0, adapters: 0 }],
  ])('gated: %i rows, %j', async (rows, shape) => {
    const precision = PRECISIONS[rows % 4];
    const gate = await somePacked(precision, shape.outputs, shape.columns, 2);
    const up = await somePacked(precision, shape.outputs, shape.columns, 3);
    const inputs = {
      x: someNumbers(rows * shape.columns, 1, 0.1),
      ...{ gate: gate.bound, up: up.bound },
      u: someNumbers(rows * shape.adapters * 2 * shape.rank, 4),
      b: someNumbers(shape.adapters * 2 * shape.outputs * shape.rank, 5),
      y: new Float32Array(rows * shape.outputs),
    };
    const own = someRows(rows, 4, 9, shape.adapters);
    const got = await runKernel(gatedKernel(shape, gate.format, tuning, rows), inputs, own);
    const wanted = gatedReference(shape, { ...inputs, gate: gate.values, up: up.values, rows: own });
    expect(largestDifference(got.y, wanted)).toBeLessThan(1e-4);
  });

  const HEADS = { heads: 6, kvHeads: 2, headDim: 20, capacity: 141, keys: 'f32' } as const;
  it.each(KEYS)('copy keys, %s', async (keys) => {
    const row = (slot: number, position: number) => ({ slot, position, out: null, adapter: null });
    const rows = [row(1, 0), row(0, 7), row(1, 0), row(3, 63), row(2, 0), row(4, 20)];
    const size = 5 * HEADS.kvHeads * PAGE * HEADS.headDim;
    const [k, v] = [someStored(keys, size, 1), someStored(keys, size, 2)];
    const got = await runKernel(copyKeysKernel({ ...HEADS, keys }, tuning), { k: k.bound, v: v.bound }, rows);
    const wanted = copyKeysReference(HEADS, { rows, k: k.values, v: v.values });
    expect(largestDifference(read(keys, got.k), wanted.k)).toBe(0);
    expect(largestDifference(read(keys, got.v), wanted.v)).toBe(0);
  });

  it.each([
    [null, 'f32'],
    [1e-6, 'f32'],
    [1e-6, 'f16'],
  ] as const)('rotate, head norms with eps %s, %s keys', async (normEps, keys) => {
    const rows = someRows(13, 3, HEADS.capacity);
    const { pages, count } = somePages(3, HEADS.capacity);
    const size = count * HEADS.kvHeads * PAGE * HEADS.headDim;
    const [k, v] = [someStored(keys, size, 3), someStored(keys, size, 4)];
    const arrays = {
      table: someNumbers(HEADS.capacity * HEADS.headDim, 1),
      qkv: someNumbers(rows.length * 10 * HEADS.headDim, 2),
      ...{ qNorm: someNumbers(HEADS.headDim, 5), kNorm: someNumbers(HEADS.headDim, 6) },
    };
    const shape = { ...HEADS, keys, normEps };
    const q = new Float32Array(rows.length * HEADS.heads * HEADS.headDim);
    const got = await runKernel(rotateKernel(shape, tuning), { ...arrays, k: k.bound, v: v.bound, q }, rows, [], pages);
    const wanted = rotateReference(shape, { ...arrays, rows, pages, k: k.values, v: v.values });
    expect(largestDifference(got.q, wanted.q)).toBeLessThan(1e-5);
    for (const name of ['k', 'v'] as const)
      expect(largestDifference(read(keys, got[name]), wanted[name])).toBeLessThan(keys === 'f32' ? 1e-5 : 2e-3);
  });

  const ATTENTION = [
    { heads: 6, kvHeads: 2, headDim: 20, capacity: 41, keys: 'f32' },
    { heads: 3, kvHeads: 3, headDim: 8, capacity: 150, keys: 'f32' },
    { heads: 4, kvHeads: 2, headDim: 12, capacity: 170, keys: 'f16' },
  ] as const;

  it.each(ATTENTION)('attention %j', async (shape) => {
    const rows = someRows(13, 3, shape.capacity);
    const { keys, pages, inputs } = someAttention(shape, rows.length);
    const got = await runKernel(attentionKernel(shape, tuning), inputs, rows, [], pages);
    expect(largestDifference(got.y, attentionReference(shape, { ...keys, q: inputs.q, rows }))).toBeLessThan(1e-5);
  });

  it.skipIf(cut === 'software with vectors').each(ATTENTION)('attention by spans %j', async (shape) => {
    const span = 64;
    const rows = someRows(40, 3, shape.capacity);
    const { keys, pages, inputs } = someAttention(shape, rows.length);
    const parts = new Float32Array(rows.length * spanNumbers(shape, span));
    const spans = await runKernel(attentionKernel(shape, tuning, span), { ...inputs, y: parts }, rows, [], pages);
    const combined = await runKernel(combineKernel(shape, tuning, span), { parts: spans.y, y: inputs.y }, rows);
    expect(largestDifference(combined.y, attentionReference(shape, { ...keys, q: inputs.q, rows }))).toBeLessThan(1e-5);
    // A row that one span holds has the bits it has unsplit.
    const unsplit = await runKernel(attentionKernel(shape, tuning), inputs, rows, [], pages);
    const width = shape.heads * shape.headDim;
    for (const [row, { position }] of rows.entries())
      if (position < span)
        expect(combined.y.slice(row * width, (row + 1) * width)).toEqual(
          unsplit.y.slice(row * width, (row + 1) * width),
        );
  });

  it.each([
    { precision: 'f32', columns: 24, vocab: 301, cuts: [0, 301] },
    { precision: 'f32', columns: 8, vocab: 333, cuts: [0, 64, 320, 333] },
    { precision: 'f16', columns: 36, vocab: 65, cuts: [0, 65] },
    { precision: 'q8', columns: 44, vocab: 100, cuts: [0, 64, 100] },
    { precision: 'q4', columns: 44, vocab: 100, cuts: [0, 64, 100] },
  ] as const)('head and draw %j', async ({ precision, columns, vocab, cuts }) => {
    const draws = Array.from({ length: 7 }, (_, i) => ({
      sharpness: i % 3 === 0 ? 0 : 0.4 + i / 3,
      draw: (i * 0.377) % 1,
    }));
    const rows = someRows(draws.length, 3, 9);
    const x = someNumbers(draws.length * columns, 1);
    const parts = cuts.slice(1).map((end, i) => ({ first: cuts[i], count: end - cuts[i] }));
    const packed = await Promise.all(parts.map(({ count }, i) => somePacked(precision, count, columns, 2 + i)));
    const [named, values] = [packed.map(({ bound }) => bound), packed.map((one) => one.values)];
    const { format } = packed[0];
    const w = Float32Array.of(...values.flatMap((own) => [...own]));
    let records = new Float32Array(draws.length * runsOf(vocab) * RECORD);
    for (const [i, part] of parts.entries()) {
      const kernel = headTilesKernel({ columns, vocab, part, format }, tuning, rows.length);
      const got = await runKernel(kernel, { x, w: named[i], records }, rows, draws);
      const wanted = headTilesReference({ columns, vocab, part, format }, { draws, x, w: values[i], records });
      expect(largestDifference(got.records, wanted)).toBeLessThan(1e-3);
      records = got.records as Float32Array<ArrayBuffer>;
    }
    const inputs = { x, records, ...Object.fromEntries(named.map((values, i) => [`w${i}`, values])) };
    const ids = new Int32Array(draws.length);
    const numbers = new Float32Array(draws.length * 3);
    const got = await runKernel(
      drawKernel({ columns, vocab, parts, format }, tuning),
      { ...inputs, ids, numbers },
      rows,
      draws,
    );
    const wanted = drawReference({ columns, vocab, parts, format }, { draws, x, w });
    expect(largestDifference(got.numbers, wanted)).toBeLessThan(1e-4);
    expect([...got.ids]).toEqual(draws.map((_, row) => wanted[row * 3]));
  });
});
