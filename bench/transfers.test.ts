/** Transfers are counted where they happen, also those through buffers that are kept. */
import '../engine/device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { expect, it } from 'vitest';
import { findAdapter } from '../engine/device/adapter.ts';
import { openDevice } from '../engine/device/open.ts';
import { activeGpu } from '../engine/webgpu/gpu.ts';
import { countTransfers, timeTransfers } from './transfers.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

it.skipIf(absent)(`counts what goes up and comes down ${absent ?? ''}`, async () => {
  const device = await openDevice('webgpu');
  const gpu = activeGpu();
  const counting = countTransfers(gpu);
  // Of fewer numbers tfjs adds up on the host.
  const given = tf.tensor1d(new Float32Array(2000));
  for (let i = 0; i < 3; i++) {
    const sum = tf.add(given, i);
    expect((await sum.data())[7]).toBe(i);
    sum.dispose();
  }
  gpu.write(gpu.bufferOf(given), new Uint32Array(10));
  counting.stop();
  const { up, upBytes, down, downBytes } = counting.counted;
  expect({ down, downBytes }).toEqual({ down: 3, downBytes: 24000 });
  expect(up).toBeGreaterThanOrEqual(2);
  expect(upBytes).toBeGreaterThanOrEqual(8040);
  expect(await timeTransfers(gpu, counting.counted)).toBeGreaterThan(0);
  await given.data();
  expect(counting.counted.down).toBe(3);
  await device.close();
});
