/** Drawing from what top-k, top-p and min-p leave, against the host's own way, on logits with and without equals. */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { GPU_TUNING, SOFTWARE_TUNING, vectorTuning, type Tuning } from '../kernel.ts';
import type { RowDraw, Truncation } from '../step.ts';
import { largestDifference, runKernel, someNumbers, someRows } from '../testing.ts';
import { formatOf } from '../weight-format.ts';
import { drawTruncatedKernel, drawTruncatedReference, keptWindows } from './draw-truncated.ts';
import { headTilesKernel, headTilesReference, RECORD, runsOf } from './head-tiles.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;
const TUNINGS: Readonly<Record<string, Tuning>> = {
  gpu: { ...GPU_TUNING, rows: [2] },
  software: { ...SOFTWARE_TUNING, outputs: 2, rows: [2] },
  'software with vectors': { ...vectorTuning(8), outputs: 2, rows: [2] },
};

const whole: Truncation = { topK: 0, topP: 1, minP: 0 };
const TRUNCATIONS: readonly Truncation[] = [
  ...[1, 2, 7, 40].map((topK) => ({ ...whole, topK })),
  ...[1e-6, 0.3, 0.9, 0.999, 1 - 1e-12].map((topP) => ({ ...whole, topP })),
  ...[0.02, 0.5, 0.999].map((minP) => ({ ...whole, minP })),
  ...[
    { topK: 20, topP: 0.8, minP: 0.05 },
    { topK: 3, topP: 0.53, minP: 0 },
    { topK: 0, topP: 0.7, minP: 0.3 },
  ],
];

/** Every truncation at several temperatures and draws, and between them rows that cut nothing off. */
const DRAWS: readonly RowDraw[] = TRUNCATIONS.flatMap((truncation, i) =>
  [0.0001, 0.31, 0.62, 0.99999].map((draw, j) => ({
    ...{ sharpness: [0.5, 1, 2.5][(i + j) % 3], draw },
    ...((i + j) % 7 === 6 ? {} : { truncation }),
  })),
);

describe.skipIf(absent).each(Object.keys(TUNINGS))(`what is cut off, for %s ${absent ?? ''}`, (cut) => {
  const tuning = TUNINGS[cut];
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it.each([
    { vocab: 333, columns: 8, distinct: 333, window: 60 },
    { vocab: 61, columns: 12, distinct: 61, window: 31 },
    // Many logits are equal.
    { vocab: 1003, columns: 4, distinct: 9, window: 1000 },
  ])('%j', { timeout: 200_000 }, async ({ vocab, columns, distinct, window }) => {
    const rows = someRows(DRAWS.length, 3, 9);
    const own = someNumbers(distinct * columns, 2);
    const w = Float32Array.from({ length: vocab * columns }, (_, i) => own[i % own.length]);
    const x = someNumbers(rows.length * columns, 1, 2);
    const part = { first: 0, count: vocab };
    const format = formatOf('f32');
    let records = new Float32Array(rows.length * runsOf(vocab) * RECORD);
    const [ids, numbers] = [new Int32Array(rows.length), new Float32Array(rows.length * 3)];
    const wanted = new Float32Array(rows.length * 3);
    for (const kept of keptWindows(rows.length, vocab, window * vocab)) {
      const head = headTilesKernel({ columns, vocab, part, format, kept }, tuning, rows.length);
      const all = new Float32Array(kept.count * vocab);
      const tiles = await runKernel(head, { x, w, records, all }, rows, DRAWS);
      records = tiles.records as Float32Array<ArrayBuffer>;
      const drawn = await runKernel(
        drawTruncatedKernel(vocab, kept, tuning),
        { all: tiles.all, records, ids, numbers },
        rows,
        DRAWS,
      );
      for (let row = kept.first; row < kept.first + kept.count; row++) {
        ids[row] = drawn.ids[row];
        numbers.set(drawn.numbers.subarray(row * 3, row * 3 + 3), row * 3);
      }
      const here = DRAWS.slice(kept.first, kept.first + kept.count);
      wanted.set(drawTruncatedReference(vocab, here, tiles.all), kept.first * 3);
    }
    const whole = headTilesReference({ columns, vocab, part, format }, { draws: DRAWS, x, w, records });
    expect(largestDifference(records, whole)).toBeLessThan(1e-3);
    expect([...ids]).toEqual(DRAWS.map((_, row) => wanted[row * 3]));
    expect(largestDifference(numbers, wanted)).toBeLessThan(1e-4);
    expect(new Set(ids).size).toBeGreaterThan(distinct / 9);
  });
});
