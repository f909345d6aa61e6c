/** The optimiser's step in place: runs with rates of their own, arrays cut by a binding's limit, numbers read before. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { adamwInPlace } from './flat-adamw.ts';
import { activeGpu } from './gpu.ts';
import { adamwReference } from './kernels/adamw.ts';
import { largestDifference, someNumbers } from './testing.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

describe.skipIf(absent)(`AdamW on the device ${absent ?? ''}`, { timeout: 120_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it('changes the runs it is given, and what is read afterwards', async () => {
    const size = 300;
    let wanted = { p: someNumbers(size, 2), m: someNumbers(size, 3), v: someNumbers(size, 4).map(Math.abs) };
    const g = someNumbers(size, 1);
    const runs = [
      { begin: 5, end: 150, step: 0.1 },
      { begin: 200, end: 299, step: 0.02 },
    ];
    const factors = ({ step }: { step: number }) => ({
      ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, scale: 0.5, step, root: 0.2, decay: 0.99 },
    });
    const tensors = {
      ...{ g: tf.tensor1d(g), p: tf.tensor1d(wanted.p) },
      ...{ m: tf.tensor1d(wanted.m), v: tf.tensor1d(wanted.v) },
    };
    await tensors.p.data();
    for (let turn = 0; turn < 2; turn++) {
      adamwInPlace(activeGpu(), tensors, runs, factors, 128);
      for (const run of runs)
        wanted = adamwReference(factors(run), run.begin, run.end - run.begin, { g, ...wanted }) as typeof wanted;
      for (const name of ['p', 'm', 'v'] as const)
        expect(largestDifference(await tensors[name].data(), wanted[name])).toBeLessThan(1e-5);
    }
    tf.dispose(tensors);
  });
});
