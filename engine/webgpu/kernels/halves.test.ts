/** Kernels that pass on half floats, against their references on the same numbers, as cut for a GPU and for its emulation. */
import '../../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../../device/adapter.ts';
import { openDevice, type Device } from '../../device/open.ts';
import { GPU_TUNING, SOFTWARE_TUNING, vectorTuning, type Tuning } from '../kernel.ts';
import { PAGE } from '../page-pool.ts';
import { largestDifference, runKernel, someNumbers, somePages, someRows } from '../testing.ts';
import { attentionKernel, attentionReference, combineKernel, spanNumbers } from './attention.ts';
import { gatedKernel, gatedReference } from './gated.ts';
import { read, someStored, stored } from './half-testing.ts';
import { linearKernel, linearReference } from './linear.ts';
import { somePacked } from './packed-testing.ts';
import { rmsNormKernel, rmsNormReference } from './rms-norm.ts';
import { rotateKernel, rotateReference } from './rotate.ts';

const adapter = await findAdapter();
const lacking = typeof adapter !== 'string' && !adapter.adapter.features.has('shader-f16');
const absent = typeof adapter === 'string' ? adapter : lacking ? 'the adapter has no half floats' : null;
const TUNINGS: Readonly<Record<string, Tuning>> = {
  gpu: { ...GPU_TUNING, rows: [2], activations: 'f16' },
  software: { ...SOFTWARE_TUNING, outputs: 2, rows: [2], activations: 'f16' },
  'software with vectors': { ...vectorTuning(8), outputs: 2, rows: [2], activations: 'f16' },
};
/** Half a step of a half float, relative, and sums in another order. */
const near = (got: Float32Array, wanted: Float32Array): void => {
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  expect(largestDifference(got, wanted)).toBeLessThan(1e-3 * largest);
};
const zeros = (size: number): Float32Array => stored('f16', new Float32Array(size)).bound;

describe.skipIf(absent).each(Object.keys(TUNINGS))(
  `half floats between kernels, %s ${absent ? `skipped: ${absent}` : ''}`,
  (cut) => {
    const tuning = TUNINGS[cut];
    let device: Device;
    beforeAll(async () => {
      device = await openDevice('webgpu');
    });
    afterAll(() => device.close());

    it('rms norm', async () => {
      const [rows, columns] = [someRows(5, 3, 9), 36];
      const inputs = { x: someNumbers(5 * columns, 3), weight: someNumbers(columns, 4), y: zeros(5 * columns) };
      const shape = { columns, eps: 1e-5, pick: false };
      const got = await runKernel(rmsNormKernel(shape, tuning), inputs, rows);
      near(read('f16', got.y), rmsNormReference(shape, { ...inputs, rows, y: new Float32Array(5 * columns) }));
    });

    it.each([false, true])('linear, accumulating: %s', async (accumulate) => {
      const shape = { columns: 44, parts: [20, 8], bias: true, accumulate, rank: 4, adapters: 2 };
      const rows = someRows(3, 4, 9, shape.adapters);
      const { format, bound, values } = await somePacked('q8', 28, 44, 1);
      const x = someStored('f16', 3 * 44, 9);
      const u = someStored('f16', 3 * 2 * 2 * 4, 11);
      const both = { bias: someNumbers(28, 10), b: someNumbers(2 * 28 * 4, 12) };
      const y = accumulate ? someNumbers(3 * 28, 13) : zeros(3 * 28);
      const inputs = { ...both, w: bound, x: x.bound, u: u.bound, y };
      const got = await runKernel(linearKernel(shape, format, tuning, 3), inputs, rows);
      const wanted = linearReference(shape, { ...both, w: values, x: x.values, u: u.values, rows, ...(accumulate ? { y } : {}) }); // prettier-ignore
      near(read(accumulate ? 'f32' : 'f16', got.y), wanted);
    });

    it('gated', async () => {
      const shape = { columns: 36, outputs: 40, rank: 0, adapters: 0 };
      const [gate, up] = [await somePacked('f16', 40, 36, 2), await somePacked('f16', 40, 36, 3)];
      const x = someStored('f16', 5 * 36, 1);
      const inputs = { x: x.bound, gate: gate.bound, up: up.bound, y: zeros(5 * 40) };
      const wanted = gatedReference(shape, { x: x.values, gate: gate.values, up: up.values });
      near(
        read('f16', (await runKernel(gatedKernel(shape, gate.format, tuning, 5), inputs, someRows(5, 4, 9))).y),
        wanted,
      );
      if (!tuning.stages) return;
      const prompts = gatedKernel(shape, gate.format, tuning, 'prompts');
      near(read('f16', (await runKernel(prompts, inputs, someRows(5, 4, 9))).y), wanted);
    });

    const HEADS = { heads: 4, kvHeads: 2, headDim: 12, capacity: 170, keys: 'f16' } as const;
    const { pages, count } = somePages(3, HEADS.capacity);
    const size = count * HEADS.kvHeads * PAGE * HEADS.headDim;

    it('rotate', async () => {
      const rows = someRows(7, 3, HEADS.capacity);
      const shape = { ...HEADS, normEps: 1e-6 };
      const table = someNumbers(HEADS.capacity * HEADS.headDim, 1);
      const norms = { qNorm: someNumbers(HEADS.headDim, 5), kNorm: someNumbers(HEADS.headDim, 6) };
      const qkv = someStored('f16', rows.length * 8 * HEADS.headDim, 2);
      const [k, v] = [someStored('f16', size, 3), someStored('f16', size, 4)];
      const bound = {
        table,
        ...norms,
        qkv: qkv.bound,
        k: k.bound,
        v: v.bound,
        q: zeros(rows.length * 4 * HEADS.headDim),
      };
      const got = await runKernel(rotateKernel(shape, tuning), bound, rows, [], pages);
      const wanted = rotateReference(shape, {
        rows,
        pages,
        table,
        ...norms,
        qkv: qkv.values,
        k: k.values,
        v: v.values,
      });
      for (const name of ['q', 'k', 'v'] as const) near(read('f16', got[name]), wanted[name]);
    });

    it('attention, whole and by spans', async () => {
      const rows = someRows(7, 3, HEADS.capacity);
      const width = rows.length * HEADS.heads * HEADS.headDim;
      const [q, k, v] = [someStored('f16', width, 1, 3), someStored('f16', size, 2), someStored('f16', size, 3)];
      const wanted = attentionReference(HEADS, { rows, pages, q: q.values, k: k.values, v: v.values });
      const inputs = { q: q.bound, k: k.bound, v: v.bound };
      const whole = await runKernel(attentionKernel(HEADS, tuning), { ...inputs, y: zeros(width) }, rows, [], pages);
      near(read('f16', whole.y), wanted);
      if (tuning.handRound > 0) return;
      const parts = new Float32Array(rows.length * spanNumbers(HEADS, 64));
      const spans = await runKernel(attentionKernel(HEADS, tuning, 64), { ...inputs, y: parts }, rows, [], pages);
      const combined = await runKernel(combineKernel(HEADS, tuning, 64), { parts: spans.y, y: zeros(width) }, rows);
      near(read('f16', combined.y), wanted);
    });

    it('holds what is too large at the largest half float', async () => {
      const shape = { columns: 4, parts: [4], bias: false, accumulate: false, rank: 0, adapters: 0 };
      const x = stored('f16', Float32Array.of(6e4, 0, 0, 0));
      const w = Float32Array.of(4, 0, 0, 0, -4, 0, 0, 0, 1, 0, 0, 0, 0, 9, 9, 9);
      const { format } = await somePacked('f32', 4, 4, 1);
      const got = await runKernel(
        linearKernel(shape, format, tuning, 1),
        { x: x.bound, w, y: zeros(4) },
        someRows(1, 1, 9),
      );
      expect([...read('f16', got.y)]).toEqual([65504, -65504, x.values[0], 0]);
    });
  },
);
