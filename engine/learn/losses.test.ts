/** Losses over tensors against the same losses over numbers, their gradients, dual clip and aggregation. */
import * as tf from '@tensorflow/tfjs';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Aggregation } from '../protocol.ts';
import { klEstimate, klTensor } from './kl.ts';
import { fillTokenWeights, policyLoss, policyLossOf, valueLoss, valueLossOf } from './losses.ts';
import { importanceWeights } from './ppo-step.ts';

beforeAll(async () => {
  await tf.setBackend('cpu');
});

const CLIPS = { clip: 0.2, dualClip: 3 };
const number = (limit: number) => fc.double({ min: -limit, max: limit, noNaN: true });
const read = (f: () => tf.Tensor): number[] => Array.from(tf.tidy(() => f().dataSync() as Float32Array));

describe('policy loss', () => {
  it('is the same over tensors and over numbers', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(number(3), number(3), number(5)), { minLength: 1, maxLength: 9 }), (tokens) => {
        const [lp, old, a] = [0, 1, 2].map((k) => Float32Array.from(tokens, (token) => token[k]));
        const ours = read(() => policyLoss(tf.tensor1d(lp), tf.tensor1d(old), a, CLIPS));
        ours.forEach((loss, i) => {
          const expected = policyLossOf(lp[i], old[i], a[i], CLIPS).loss;
          expect(Math.abs(loss - expected)).toBeLessThan(1e-4 * (1 + Math.abs(expected)));
        });
      }),
    );
  });

  it('stops rewarding beyond the clip: no gradient for a good token at ratio 1.5 or a bad one at 0.5', () => {
    const gradient = (lp: number, advantage: number) =>
      read(() =>
        tf.grad((x) => tf.sum(policyLoss(x as tf.Tensor1D, tf.tensor1d([0]), Float32Array.of(advantage), CLIPS)))(
          tf.tensor1d([lp]),
        ),
      )[0];
    expect(gradient(Math.log(1.5), 1)).toBe(0);
    expect(gradient(Math.log(0.5), -1)).toBe(0);
    expect(gradient(Math.log(1.5), -1)).toBeCloseTo(1.5, 5);
    expect(gradient(0, 2)).toBeCloseTo(-2, 5);
  });

  it('dual clip bounds a bad token that became likely: loss 3|A|, no gradient', () => {
    expect(policyLossOf(2, 0, -1, CLIPS).loss).toBeCloseTo(3, 6);
    expect(policyLossOf(2, 0, -1, { clip: 0.2, dualClip: 0 }).loss).toBeCloseTo(Math.exp(2), 6);
    const gradient = tf.tidy(
      () =>
        tf
          .grad((x) => tf.sum(policyLoss(x as tf.Tensor1D, tf.tensor1d([0]), Float32Array.of(-1), CLIPS)))(
            tf.tensor1d([2]),
          )
          .dataSync()[0],
    );
    expect(gradient).toBe(0);
  });

  it('stays finite when a log-prob falls or rises without bound', () => {
    for (const lp of [-1e4, 1e4])
      for (const a of [-1, 1])
        expect(
          Number.isFinite(read(() => policyLoss(tf.tensor1d([lp]), tf.tensor1d([0]), Float32Array.of(a), CLIPS))[0]),
        ).toBe(true);
  });
});

describe('value loss', () => {
  it('is the same over tensors and over numbers', () => {
    fc.assert(
      fc.property(number(5), number(5), number(5), fc.constantFrom(0, 0.5), (v, old, target, clip) => {
        const [ours] = read(() => valueLoss(tf.tensor1d([v]), tf.tensor1d([old]), Float32Array.of(target), clip));
        const expected = valueLossOf(v, old, target, clip);
        expect(Math.abs(ours - expected)).toBeLessThan(1e-4 * (1 + expected));
      }),
    );
  });

  it('does not reward a value for moving more than the clip', () => {
    expect(valueLossOf(2, 0, 2, 0.5)).toBeCloseTo(0.5 * 1.5 ** 2, 6);
    expect(valueLossOf(2, 0, 2, 0)).toBe(0);
  });
});

describe('KL and importance weights', () => {
  it.each(['k1', 'k2', 'k3'] as const)('%s is the same over tensors and over numbers', (kind) => {
    const [lp, ref] = [[-1, -2, -0.1], [-1.5, -0.2, -7]]; // prettier-ignore
    const ours = read(() => klTensor(tf.tensor1d(lp), tf.tensor1d(ref), kind));
    ours.forEach((kl, i) => expect(kl).toBeCloseTo(klEstimate(lp[i], ref[i], kind), 4));
  });

  it('cuts importance weights at the cap', () => {
    expect(read(() => importanceWeights(tf.tensor1d([0, 0]), tf.tensor1d([-5, 1]), 2))).toEqual([
      2,
      expect.closeTo(Math.exp(-1), 5),
    ]);
  });
});

describe('aggregation', () => {
  const starts = Uint32Array.of(0, 1, 4, 6);
  const weightsOf = (aggregation: Aggregation, responses: number[]) => {
    const weights = new Float32Array(6);
    fillTokenWeights(weights, responses, starts, aggregation);
    return [...weights];
  };
  const close = (numbers: number[]) => numbers.map((x) => expect.closeTo(x, 6));

  it('token-mean counts tokens alike, the sequence means count responses alike', () => {
    expect(weightsOf('token-mean', [0, 1, 2])).toEqual(close(Array(6).fill(1 / 6)));
    expect(weightsOf('seq-mean-token-mean', [0, 1, 2])).toEqual(close([1 / 3, 1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 6]));
    expect(weightsOf('seq-mean-token-sum', [0, 1, 2])).toEqual(close(Array(6).fill(1 / 3)));
  });

  it('leaves other mini-batches alone', () => {
    expect(weightsOf('token-mean', [0, 2])).toEqual(close([1 / 3, 0, 0, 0, 1 / 3, 1 / 3]));
  });
});
