/** Numbers of a buffer as texels: whole lines and the rest of one, from any part of a buffer, and textures that grow. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { activeGpu } from './gpu.ts';
import { Recorder } from './recorder.ts';
import { itemOfThread, sizedKernel, SOFTWARE_CUT } from './sized-kernel.ts';
import { someNumbers } from './testing.ts';
import { TEXELS_ACROSS } from './texels.ts';
import { fourOf, texels, writes } from './wgsl.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

const X = texels('x');
const copyTexels = sizedKernel('copy of texels', {
  bindings: [X, writes('y', 'vec4f')],
  ...{ counts: {}, threads: SOFTWARE_CUT.threads, perGroup: SOFTWARE_CUT.threads },
  main: `${itemOfThread(SOFTWARE_CUT)}\n  y[item] = ${fourOf(X, 'item')};`,
});

describe.skipIf(absent)(`texels ${absent ?? ''}`, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  it('are the numbers of the buffer, in several calls of one submission', async () => {
    const gpu = activeGpu();
    const values = someNumbers(64 + 4 * (2 * TEXELS_ACROSS + 5), 1);
    const x = tf.tensor1d(values);
    const recorder = new Recorder(gpu);
    const spans = [
      { first: 0, numbers: 20 },
      { first: 64, numbers: 4 * (2 * TEXELS_ACROSS + 5) },
      { first: 64, numbers: 4 * TEXELS_ACROSS },
    ];
    const buffer = gpu.bufferOf(x);
    const outs = spans.map(({ first, numbers }) => {
      const y = gpu.allocate([numbers]);
      const from = { buffer, offset: first * 4 };
      recorder.add(copyTexels, numbers / 4, {}, [{ from, numbers, bytes: 4 }, gpu.bufferOf(y)]);
      return y;
    });
    recorder.submit();
    for (const [i, { first, numbers }] of spans.entries())
      expect(Float32Array.from(await outs[i].data())).toEqual(values.slice(first, first + numbers));
    recorder.dispose();
    tf.dispose([x, ...outs]);
  });
});
