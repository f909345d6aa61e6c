/** The head on hand-written kernels against plain operations: scores and gradients, in one stretch of the vocabulary and in many. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { useTrunk } from '../model/choose-trunk.ts';
import { chosenLogprobs } from '../model/head.ts';
import { fusedScores } from './fused-head.ts';
import { activeGpu } from './gpu.ts';
import { GPU_CUT, SOFTWARE_CUT } from './sized-kernel.ts';
import { largestDifference, someNumbers } from './testing.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

const [n, d, vocab] = [7, 12, 204];
/** In the first and the last stretch, and at the edges of one. */
const ids = Int32Array.of(0, 203, 63, 64, 127, 128, 50);

describe.skipIf(absent)(`the fused head ${absent ?? ''}`, { timeout: 300_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  type Scores = (hidden: tf.Tensor2D, weight: tf.Tensor2D) => tf.Tensor2D;

  async function gradients(scores: Scores, trainHead: boolean): Promise<Float32Array[]> {
    const hidden = tf.tensor2d(someNumbers(n * d, 1, 2), [n, d]);
    const weight = tf.tensor2d(someNumbers(vocab * d, 2, 2), [vocab, d]);
    const pull = tf.tensor2d(someNumbers(n * 2, 3), [n, 2]);
    const { value, grads } = tf.engine().gradients(
      () => tf.sum(tf.mul(scores(hidden, weight), pull)),
      trainHead ? [hidden, weight] : [hidden],
      undefined,
      true,
    ); // prettier-ignore
    const whole = tf.tidy(() => scores(hidden, weight));
    const read: Float32Array[] = [];
    for (const tensor of [whole, ...grads]) read.push(Float32Array.from(await tensor.data()));
    tf.dispose([hidden, weight, pull, whole, value, grads]);
    return read;
  }

  it.each([
    { stretch: 'the whole vocabulary', numbers: 2 ** 20, cut: undefined, trainHead: true, entropyGradient: true },
    { stretch: '64 tokens', numbers: 64 * n, cut: SOFTWARE_CUT, trainHead: true, entropyGradient: true },
    { stretch: '64 tokens', numbers: 64 * n, cut: SOFTWARE_CUT, trainHead: false, entropyGradient: false },
    { stretch: '128 tokens, as cut for a GPU', numbers: 128 * n, cut: GPU_CUT, trainHead: true, entropyGradient: true },
    { stretch: '64 tokens, for what may be bound', bytes: 64 * d * 4, trainHead: true, entropyGradient: true },
  ])('gives the plain scores and gradients: %j', async ({ numbers, cut, bytes, ...options }) => {
    const before = useTrunk('tfjs');
    const wanted = await gradients((hidden, weight) => {
      const { logprobs, entropy } = chosenLogprobs(hidden, weight, ids, options);
      return tf.stack([logprobs, entropy], 1) as tf.Tensor2D;
    }, options.trainHead);
    useTrunk(before);
    const ours = (): Promise<Float32Array[]> =>
      gradients(
        (hidden, weight) =>
          fusedScores(activeGpu(), hidden, weight, ids, options, {
            ...(cut ? { cut } : {}),
            ...(bytes ? { bytes } : {}),
            ...(numbers ? { numbers } : {}),
          }),
        options.trainHead,
      );
    const got = await ours();
    const tensors = tf.memory().numTensors;
    await ours();
    expect(tf.memory().numTensors).toBe(tensors);
    await device.yieldToEvents(); // what the device refused is thrown here
    for (const [i, values] of wanted.entries()) expect(largestDifference(got[i], values)).toBeLessThan(2e-4);
  });

  it('binds no more of a large head than the device allows, however few tokens are scored', async () => {
    const { limits } = activeGpu().device;
    const [hidden, rows] = [512, Math.ceil(limits.maxStorageBufferBindingSize / 4 / 512 / 64) * 64 + 64];
    if (4 * hidden * rows > Math.min(limits.maxBufferSize, 2 ** 28)) return;
    const states = tf.tensor2d(someNumbers(2 * hidden, 1), [2, hidden]);
    const weight = tf.tensor2d(new Float32Array(rows * hidden).fill(0.01), [rows, hidden]);
    const options = { entropyGradient: false, trainHead: false };
    const scores = fusedScores(activeGpu(), states, weight, Int32Array.of(3, rows - 1), options);
    // Every token is as likely as every other.
    for (const value of await scores.data()) expect(Math.abs(value)).toBeCloseTo(Math.log(rows), 3);
    await device.yieldToEvents();
    tf.dispose([states, weight, scores]);
  });
});
