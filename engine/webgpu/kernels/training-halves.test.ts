/**
 * Every kernel of the training pass that takes or leaves half floats, against itself with floats on the same numbers, on odd
 * shapes; those with floats have their own references in training-kernels.test.ts. Also what becomes of numbers that no half holds.
 */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { floatToHalf, halfTable } from '../../formats/half.ts';
import { activationOf, type Activation } from '../activation.ts';
import { playedWords } from '../matrix-testing.ts';
import type { MatrixUnit } from '../matrix-unit.ts';
import { packRows } from '../packed-rows.ts';
import { GPU_CUT, SOFTWARE_CUT, vectorCut, type Cut, type SizedKernel } from '../sized-kernel.ts';
import { largestDifference, runSized, someNumbers } from '../testing.ts';
import { KEY_TILE, mixKeysKernel, mixRowsKernel, rowDotsKernel, SCORE_MODE, scoreRowsKernel } from './attend-rows.ts';
import { columnSumsKernel } from './column-sums.ts';
import { normRowsGradKernel, normRowsKernel } from './norm-rows.ts';
import { PRODUCT_MODE, type Orientation, type ProductMode } from './product-tiles.ts';
import { productItems, productKernel } from './product.ts';
import { rotateRowsKernel } from './rotate-rows.ts';
import { swigluGradKernel, swigluKernel } from './swiglu.ts';
import { NO_ROW, takeRowsKernel } from './take-rows.ts';

const adapter = await findAdapter();
const lacking = typeof adapter !== 'string' && !adapter.adapter.features.has('shader-f16');
const absent = typeof adapter === 'string' ? adapter : lacking ? 'the adapter has no half floats' : null;
const vectors =
  typeof adapter === 'string'
    ? null
    : vectorCut({ features: adapter.adapter.features, adapterInfo: adapter.adapter.info });
const CUTS: Readonly<Record<string, Cut>> = {
  ...{ gpu: GPU_CUT, software: SOFTWARE_CUT },
  ...(vectors ? { 'software with vectors': vectors } : {}),
};

const [F32, F16] = [activationOf('f32'), activationOf('f16')];
const HALVES = halfTable();
/** Half a step of a half, relative to the largest number, and sums in another order. */
const NEAR = 6e-4;

type Inputs = Readonly<Record<string, Float32Array | Uint32Array>>;

const bitsOf = (values: Float32Array): Uint16Array => Uint16Array.from(values, floatToHalf);
const rounded = (values: Float32Array): Float32Array => Float32Array.from(bitsOf(values), (half) => HALVES[half]);

/** Runs a kernel whose bindings named in `halves` are half floats beside the one without. */
async function likeFloats(
  of: (flow: Activation) => SizedKernel,
  count: number,
  sizes: Readonly<Record<string, number>>,
  inputs: Inputs,
  halves: readonly string[],
): Promise<void> {
  const each = (change: (values: Float32Array) => Float32Array | Uint16Array): Parameters<typeof runSized>[3] =>
    Object.fromEntries(
      Object.entries(inputs).map(([name, values]) => [
        name,
        halves.includes(name) && values instanceof Float32Array ? change(values) : values,
      ]),
    );
  const wanted = await runSized(of(F32), count, sizes, each(rounded));
  const got = await runSized(of(F16), count, sizes, each(bitsOf));
  for (const [name, values] of Object.entries(wanted)) {
    const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(largest, name).toBeGreaterThan(0);
    expect(largestDifference(got[name], values) / largest, name).toBeLessThan(NEAR);
  }
}

type Product = {
  readonly orientation: Orientation;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly mode: ProductMode;
  /** Which of a, b and c are half floats. */
  readonly halves: string;
};
/** As the layers multiply, forward and backward. */
const PRODUCTS: readonly Product[] = [
  { orientation: 'nt', m: 71, n: 134, k: 36, mode: 'plusRow', halves: 'ac' },
  { orientation: 'nt', m: 9, n: 66, k: 20, mode: 'plusMatrix', halves: 'a' },
  { orientation: 'nt', m: 6, n: 5, k: 8, mode: 'add', halves: 'c' },
  { orientation: 'nn', m: 67, n: 140, k: 52, mode: 'replace', halves: 'c' },
  { orientation: 'nn', m: 5, n: 12, k: 20, mode: 'add', halves: 'ac' },
  { orientation: 'nn', m: 9, n: 8, k: 36, mode: 'replace', halves: 'a' },
  { orientation: 'tn', m: 76, n: 132, k: 37, mode: 'replace', halves: 'ab' },
  { orientation: 'tn', m: 8, n: 68, k: 19, mode: 'replace', halves: 'b' },
];

function productOf({ orientation, halves }: Product, cut: Cut): (flow: Activation) => SizedKernel {
  return (flow) => {
    const element = (name: string): Activation => (halves.includes(name) ? flow : F32);
    const elements = { a: element('a'), b: element('b'), c: element('c') };
    const words = cut.matrix ? playedWords(cut.matrix, cut.handRound, elements) : undefined;
    return productKernel(orientation, cut, words, elements);
  };
}

async function checkProduct(product: Product, cut: Cut): Promise<void> {
  const { m, n, k, mode, halves } = product;
  const inputs = {
    ...{ a: someNumbers(m * k, 1), b: someNumbers(n * k, 2), c: someNumbers(m * n, 4) },
    addend: someNumbers(mode === 'plusRow' ? n : m * n, 3),
  };
  const sizes = { m, n, k, mode: PRODUCT_MODE[mode], alpha: 0.75 };
  await likeFloats(productOf(product, cut), productItems(m, n, cut), sizes, inputs, [...halves]);
}

/** A rest of neither, one or the other operand. */
const PLAYED: readonly Product[] = [
  { orientation: 'tn', m: 12, n: 20, k: 19, mode: 'replace', halves: 'ab' },
  { orientation: 'nt', m: 10, n: 13, k: 20, mode: 'plusMatrix', halves: 'ac' },
  { orientation: 'tn', m: 8, n: 68, k: 19, mode: 'replace', halves: 'b' },
];
const UNITS = [
  { m: 8, n: 32, k: 16, half: false },
  { m: 16, n: 32, k: 16, half: true },
] as const;

describe.skipIf(absent ?? !vectors)('products of half floats on matrix units, played', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each(UNITS)('%j', { timeout: 300_000 }, async (shape) => {
    const lanes = vectors!.handRound;
    const matrix: MatrixUnit = { ...shape, subgroup: lanes, layout: 'named' };
    for (const product of shape.half ? PLAYED : PLAYED.slice(0, 1))
      await checkProduct(product, { ...GPU_CUT, matrix, handRound: lanes });
  });
});

describe.skipIf(absent).each(Object.keys(CUTS))(
  `half floats of training, cut for %s ${absent ? `skipped: ${absent}` : ''}`,
  (name) => {
    const cut = CUTS[name];
    let device: Device;
    beforeAll(async () => {
      device = await openDevice('webgpu');
    });
    afterAll(() => device.close());

    it.each(PRODUCTS)('product %j', { timeout: 300_000 }, (product) => checkProduct(product, cut));

    it('norm of rows and its gradient, from and to the residual stream, and of heads', async () => {
      const [rows, columns] = [11, 36];
      const size = rows * columns;
      const numbers = { x: someNumbers(size, 1), weight: someNumbers(columns, 2), scale: someNumbers(rows, 5) };
      const sizes = { c4: columns / 4, add: 1 };
      for (const halves of [['y'], ['x', 'y']]) {
        const element = (of: string, flow: Activation) => (halves.includes(of) ? flow : F32);
        const kernel = (flow: Activation) => normRowsKernel(1e-3, cut, element('x', flow), element('y', flow));
        await likeFloats(kernel, rows, sizes, { ...numbers, y: new Float32Array(size) }, halves);
      }
      for (const halves of [['dy'], ['x', 'dy', 'dx']]) {
        const element = (of: string, flow: Activation) => (halves.includes(of) ? flow : F32);
        const kernel = (flow: Activation) =>
          normRowsGradKernel(cut, { x: element('x', flow), dy: element('dy', flow), dx: element('dx', flow) });
        await likeFloats(kernel, rows, sizes, { ...numbers, dy: someNumbers(size, 3), dx: someNumbers(size, 4) }, halves); // prettier-ignore
      }
    });

    it('column sums', async () => {
      const [rows, columns] = [70, 20];
      const inputs = { dy: someNumbers(rows * columns, 1), x: someNumbers(rows * columns, 2), scale: someNumbers(rows, 3) }; // prettier-ignore
      const sizes = { rows, c4: 5, stretch: 64, weighted: 1, alpha: 1 / 8 };
      for (const halves of [['dy'], ['dy', 'x']]) {
        const kernel = (flow: Activation) => columnSumsKernel(cut, flow, halves.includes('x') ? flow : F32);
        await likeFloats(kernel, 10, sizes, { ...inputs, y: new Float32Array(2 * columns) }, halves);
      }
    });

    it('rotation, swiglu and its gradient, rows by number', async () => {
      const positions = Uint32Array.from({ length: 11 }, (_, i) => (i * 7) % 13);
      const heads = { positions, table: someNumbers(13 * 20, 1), x: someNumbers(11 * 3 * 20, 2) };
      await likeFloats((flow) => rotateRowsKernel(20, cut, flow), 330, { heads: 3, sign: -1 }, heads, ['x']);
      const gates = { gate: someNumbers(132, 1, 6), up: someNumbers(132, 2), dy: someNumbers(132, 3) };
      await likeFloats((flow) => swigluKernel(cut, flow), 33, {}, { ...gates, y: new Float32Array(132) }, ['gate', 'up', 'y']); // prettier-ignore
      await likeFloats((flow) => swigluGradKernel(cut, flow), 33, {}, { ...gates, dup: new Float32Array(132) }, ['gate', 'up', 'dy', 'dup']); // prettier-ignore
      const rows = Uint32Array.of(3, NO_ROW, 0, 8, 3);
      const taken = { rows, x: someNumbers(72, 1), y: someNumbers(40, 2) };
      await likeFloats((flow) => takeRowsKernel(cut, flow), 10, { c4: 2, first: 0, held: 9 }, taken, ['x', 'y']);
    });

    it('scores, mixtures and row dots of attention', async () => {
      const shape = { heads: 6, kvHeads: 2, headDim: 12 };
      const batch = { prefix: Int32Array.of(7, 7, 7), ids: new Int32Array(39), batch: 3, length: 13, lengths: Int32Array.of(13, 2, 9) }; // prettier-ignore
      const rows = packRows(batch, Int32Array.of(12, 14, 34));
      const { stride, count, queryTiles, keyTiles } = rows;
      const [q, k] = [someNumbers(count * 72, 1), someNumbers(count * 24, 2)];
      const numbers = count * 6 * stride;
      const scratch = { p: someNumbers(numbers, 3), out: new Float32Array(numbers) };
      const tiles = queryTiles.length / 4;
      const chunk = { firstTile: 0, firstRow: 0, endRow: count, stride };
      for (const mode of ['scores', 'gradient'] as const)
        await likeFloats(
          (flow) => scoreRowsKernel(shape, cut, flow),
          (tiles * 6 * stride) / KEY_TILE,
          { ...chunk, mode: SCORE_MODE[mode] },
          { tiles: queryTiles, x: q, y: k, stats: someNumbers(count * 6, 4), ...scratch },
          ['x', 'y'],
        );
      const mixed = { tiles: queryTiles, p: scratch.p, x: k, y: new Float32Array(q.length) };
      await likeFloats((flow) => mixRowsKernel(shape, cut, flow), tiles * 18, chunk, mixed, ['x', 'y']);
      const back = { tiles: keyTiles, p: scratch.p, x: q, y: someNumbers(k.length, 6) };
      const items = (keyTiles.length / 4) * 6;
      await likeFloats((flow) => mixKeysKernel(shape, cut, flow), items, { ...chunk, add: 1 }, back, ['x', 'y']);
      const dots = { x: q, y: someNumbers(q.length, 7), out: new Float32Array(count * 6) };
      await likeFloats((flow) => rowDotsKernel(shape, cut, flow), count * 6, {}, dots, ['x', 'y']);
    });

    it('holds what is too large at the largest half going forward, and makes it no number going back', async () => {
      const [m, n, k] = [2, 4, 4];
      const a = bitsOf(Float32Array.of(6e4, 0, 0, 0, 1, 0, 0, 0));
      const b = Float32Array.of(4, 0, 0, 0, -4, 0, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9); // nt: column by column
      const turned = Float32Array.of(4, -4, 1, 0, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9); // nn: the same matrix
      const run = async (orientation: Orientation, operand: Float32Array) => {
        const kernel = productKernel(orientation, cut, undefined, { a: F16, b: F32, c: F16 });
        const sizes = { m, n, k, mode: PRODUCT_MODE.replace, alpha: 1 };
        const inputs = { a, b: operand, addend: new Float32Array(1), c: new Uint16Array(8) };
        return [...(await runSized(kernel, productItems(m, n, cut), sizes, inputs)).c];
      };
      const large = HALVES[a[0]];
      expect(await run('nt', b)).toEqual([65504, -65504, large, 0, 4, -4, 1, 0]);
      expect(await run('nn', turned)).toEqual([NaN, NaN, large, 0, 4, -4, 1, 0]);
      const dup = new Uint16Array(4);
      const inputs = { gate: bitsOf(Float32Array.of(9, 9, 9, 9)), up: bitsOf(Float32Array.of(9, 1, 1, 1)), dy: bitsOf(Float32Array.of(3e4, 3e4, 1, NaN)), dup }; // prettier-ignore
      const got = await runSized(swigluGradKernel(cut, F16), 1, {}, inputs);
      expect([...got.dy].map(Number.isNaN)).toEqual([true, false, false, true]);
      expect([...got.dup].map(Number.isNaN)).toEqual([true, true, false, true]);
    });
  },
);
