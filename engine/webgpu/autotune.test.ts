/** What the autotuner tries, what it prefers, and that a choice once made is taken again. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { Autotuner, cutsOf, winnerOf, type Contest } from './autotune.ts';
import { activeGpu } from './gpu.ts';
import { GPU_TUNING, SOFTWARE_TUNING, vectorTuning, type Tuning } from './kernel.ts';
import { linearKernel } from './kernels/linear.ts';
import { writeStep } from './step.ts';
import { runKernel, someNumbers, someRows } from './testing.ts';
import { formatOf } from './weight-format.ts';

const product = { format: formatOf('f32'), columns: 52, outputs: 70, matrices: 1, divisible: true };
const names = (tuning: Tuning, rows: number, change: Partial<typeof product> = {}): string[] =>
  cutsOf(tuning, rows, { ...product, ...change }).map((cut) => `${cut.rows}x${cut.outputs}`);

describe('cutsOf', () => {
  it('begins with the usual cut and stays near it', () => {
    expect(names(vectorTuning(8), 32)).toEqual(['32x4', '16x4']);
    expect(names(vectorTuning(8), 1)).toEqual(['1x4']);
    expect(names(SOFTWARE_TUNING, 64)).toEqual(['8x4', '1x4']);
    expect(names(GPU_TUNING, 4)).toEqual(['4x2', '4x1', '4x4', '2x2', '2x1', '2x4']);
  });

  it('halves the outputs of two matrices, and leaves those that are bound to runs', () => {
    expect(names(GPU_TUNING, 8, { matrices: 2 })).toEqual(['8x1', '8x2', '4x1', '4x2']);
    expect(names(GPU_TUNING, 8, { divisible: false })).toEqual(['8x2', '4x2']);
  });
});

describe('winnerOf', () => {
  it.each([
    [[[2, 1, 3]], 1],
    [[[1, 0.99, 4]], 0],
    [[[5]], 0],
    [[[3, 2, 1]], 2],
    // A passing load falls on a round, or on one of its turns.
    [[[2, 3], [20, 30], [40, 4]], 0],
    [[[3, 2], [30, 20], [4, 40]], 1],
  ])('of %j is number %i', (rounds, wanted) => expect(winnerOf(rounds)).toBe(wanted)); // prettier-ignore
});

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

describe.skipIf(absent)(`the autotuner ${absent ?? ''}`, () => {
  const tuning: Tuning = { ...SOFTWARE_TUNING, outputs: 2, rows: [2, 4] };
  const shape = { columns: 52, parts: [70], bias: false, accumulate: false, rank: 0, adapters: 0 };
  let device: Device;
  let contests: Contest[];
  let tensors: tf.Tensor[];

  beforeAll(async () => {
    device = await openDevice('webgpu');
    const step = tf.tensor1d(new Int32Array(writeStep(someRows(4, 3, 9)).buffer), 'int32');
    tensors = [step, tf.zeros([4 * 52]), tf.zeros([70 * 52]), tf.zeros([4 * 70])];
    const buffers = tensors.map((tensor) => activeGpu().bufferOf(tensor));
    contests = [{ buffers, kernel: (own) => linearKernel(shape, formatOf('f32'), own, 4) }];
  });
  afterAll(() => device.close());

  it('chooses once; what it told of is taken again without another measurement', { timeout: 300_000 }, async () => {
    const gpu = activeGpu();
    const told: Readonly<Record<string, string>>[] = [];
    await new Autotuner(gpu, {}, (chosen) => told.push(chosen)).tune(tuning, 4, contests, 60_000);
    expect(Object.keys(told[0])).toEqual(['f32 52 to 70, 4 rows']);
    expect(names(tuning, 4)).toContain(Object.values(told[0])[0]);

    const before = gpu.dispatches;
    const other = names(tuning, 4).at(-1)!;
    const known = new Autotuner(gpu, { 'f32 52 to 70, 4 rows': other }, (chosen) => told.push(chosen));
    await known.tune(tuning, 4, contests);
    expect(gpu.dispatches).toBe(before);
    expect(told).toHaveLength(1);
    const [rows, outputs] = other.split('x').map(Number);
    expect(known.applied(tuning).measured!(product, 4)).toEqual({ rows, outputs });
    expect(contests[0].kernel(known.applied(tuning)).source).not.toBe(contests[0].kernel(tuning).source);
  });

  it('measures anew what it was told of and never tries', { timeout: 300_000 }, async () => {
    const told: Readonly<Record<string, string>>[] = [];
    const strange = { 'f32 52 to 70, 4 rows': '1000000x9', 'of another model': '4x2' };
    const tuner = new Autotuner(activeGpu(), strange, (chosen) => told.push(chosen));
    expect(tuner.applied(tuning).measured!(product, 4)).toBeNull();
    await tuner.tune(tuning, 4, contests, 60_000);
    expect(names(tuning, 4)).toContain(told[0]['f32 52 to 70, 4 rows']);
    expect(told[0]['of another model']).toBe('4x2');
  });

  it('leaves undecided what there is no time for', { timeout: 300_000 }, async () => {
    const told: unknown[] = [];
    const tuner = new Autotuner(activeGpu(), {}, (chosen) => told.push(chosen));
    await tuner.tune(tuning, 4, contests, 0);
    expect(told).toEqual([]);
    expect(tuner.applied(tuning).measured!(product, 4)).toBeNull();
  });

  it('tries only what comes to the same bits', { timeout: 300_000 }, async () => {
    const rows = someRows(4, 3, 9);
    const inputs = { x: someNumbers(4 * 52, 1), w: someNumbers(70 * 52, 2), y: new Float32Array(4 * 70) };
    const all: Float32Array[] = [];
    for (const own of [
      { ...vectorTuning(8), outputs: 2, rows: [2, 8] },
      { ...GPU_TUNING, rows: [2], lanes: 4, threads: 8 },
    ])
      for (const cut of cutsOf(own, 4, product)) {
        const kernel = linearKernel(shape, formatOf('f32'), { ...own, measured: () => cut }, 4);
        all.push((await runKernel(kernel, inputs, rows)).y);
      }
    const [vector, gpu] = [all.slice(0, 2), all.slice(2)];
    expect(gpu).toHaveLength(3);
    for (const y of vector) expect(y).toEqual(vector[0]);
    for (const y of gpu) expect(y).toEqual(gpu[0]);
  });
});
