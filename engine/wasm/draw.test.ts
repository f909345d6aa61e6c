/** Draws in WebAssembly against the plain loops of sample.ts, on every number a draw may hit. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../device/device.ts';
import { openWasm } from '../device/wasm.ts';
import type { Sampling } from '../protocol.ts';
import { chooseToken, type Choice } from '../rollout/sample.ts';
import { drawWeighed } from './draw.ts';

let device: Device;
beforeAll(async () => {
  device = await openWasm('test', { threads: 3 });
});
afterAll(() => device.close());

const sampling = (temperature: number, seed: number, rest: Partial<Sampling> = {}): Sampling => ({
  ...{ temperature, topK: 0, topP: 1, minP: 0, maxTokens: 9, stop: [], seed },
  ...rest,
});

function drawn(logits: tf.Tensor2D, samplings: readonly (Sampling | null)[], position: number): (Choice | null)[] {
  let choices: (Choice | null)[] = [];
  const done = drawWeighed(logits, samplings, (rows, draw) => {
    expect(rows.length).toBe(logits.size);
    choices = samplings.map((_, row) => draw(row, position));
  });
  expect(done).toBe(true);
  return choices;
}

describe('draws from weighed rows', () => {
  it.each([4, 512, 516, 6400])('are those of the plain loops: %i tokens', (vocab) => {
    const rows = 40;
    const logits = tf.randomNormal<tf.Rank.R2>([rows, vocab], 0, 3, 'float32', vocab);
    const numbers = logits.dataSync<'float32'>();
    const samplings = Array.from({ length: rows }, (_, row) => sampling([1, 0.7, 1.6, 0][row % 4], row));
    let other = 0;
    for (let position = 0; position < 10; position++) {
      drawn(logits, samplings, position).forEach((got, row) => {
        const wanted = chooseToken(numbers.slice(row * vocab, (row + 1) * vocab), samplings[row], position);
        // A draw may fall so close between two tokens that float32 decides: rarely.
        if (got!.id !== wanted.id) return void other++;
        expect(got!.logprob).toBeCloseTo(wanted.logprob, 5);
        expect(got!.entropy).toBeCloseTo(wanted.entropy, 4);
      });
    }
    expect(other).toBeLessThan(2);
  });

  it('depend on nothing beside their row, and leave no tensor behind', () => {
    const logits = tf.randomNormal<tf.Rank.R2>([9, 1000], 0, 3, 'float32', 5);
    const samplings = Array.from({ length: 9 }, (_, row) => sampling(0.9, row));
    const before = tf.memory().numTensors;
    const together = drawn(logits, samplings, 3);
    expect(tf.memory().numTensors).toBe(before);
    together.forEach((choice, row) => {
      const own = tf.slice2d(logits, [row, 0], [1, 1000]);
      expect(drawn(own, [samplings[row]], 3)).toEqual([choice]);
    });
  });

  it('never take what has no weight, and end where all but one have none', () => {
    const row = new Array<number>(1024).fill(-1e9);
    row[700] = 5;
    const logits = tf.tensor2d([row]);
    for (let seed = 0; seed < 50; seed++) {
      const [choice] = drawn(logits, [sampling(1, seed)], 0);
      expect(choice).toMatchObject({ id: 700, logprob: 0 });
    }
  });

  it('leave to others what cuts the distribution off, what nobody asks for and what is no number', () => {
    const logits = tf.tensor2d([
      new Array<number>(8).fill(1),
      new Array<number>(8).fill(2),
      new Array<number>(8).fill(NaN),
    ]);
    expect(drawn(logits, [sampling(1, 0, { topK: 2 }), null, sampling(1, 0)], 0)).toEqual([null, null, null]);
    expect(drawWeighed(tf.zeros([1, 7]), [sampling(1, 0)], () => {})).toBe(false);
  });
});
