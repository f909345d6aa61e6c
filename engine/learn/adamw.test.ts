/** AdamW's two forms, the loop and the tensors, against each other and against the textbook; parts, clipping, broken gradients. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import type { Moments, Segment, Trainable } from '../model/policy.ts';
import { adamwStep, type StepSize } from './adamw.ts';
import { addGradients, disposeGradient, newGradient, type FlatGradient } from './gradients.ts';
import { newMoments, readMoments, restoreMoments } from './moments.ts';

const LAYOUT: Segment[] =
  ([['a', [2, 2], 'trunk'], ['b', [3], 'trunk'], ['value_head.weight', [1, 2], 'value'], ['c', [2], 'trunk']] as const) // prettier-ignore
    .reduce<Segment[]>(
      (layout, [name, shape, part]) => [
        ...layout,
        {
          name,
          shape,
          part,
          offset: layout.reduce((n, s) => n + s.size, 0),
          size: shape.reduce<number>((a, b) => a * b, 1),
        },
      ],
      [],
    );
const SIZE = 11;
const VALUE = [7, 8];
const START = Float32Array.from({ length: SIZE }, (_, i) => Math.sin(i + 1));
const gradientAt = (step: number) => Float32Array.from({ length: SIZE }, (_, i) => Math.cos(3 * i + step) * 2);
const RATES: StepSize = { rates: { trunk: 0.01, value: 0.1 }, weightDecay: 0.1, maxGradNorm: 1 };

describe('AdamW', () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('wasm');
  });
  afterAll(() => device.close());

  const trainable = (): Trainable => ({ flat: tf.variable(tf.tensor1d(START)), layout: LAYOUT, size: SIZE });
  const onHost = (g: Float32Array): FlatGradient => ({ layout: LAYOUT, size: SIZE, host: g, device: null });
  const onDevice = (g: Float32Array): FlatGradient => ({
    layout: LAYOUT,
    size: SIZE,
    host: null,
    device: tf.tensor1d(g),
  });
  const zeroTensors = (): Moments => ({ m: tf.zeros([SIZE]), v: tf.zeros([SIZE]), steps: { trunk: 0, value: 0 } });
  const near = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).forEach((x, i) => expect(x).toBeCloseTo(b[i], 5));

  it('steps the same by loop and by tensors, over changing parts', async () => {
    const [loop, tensors] = [trainable(), trainable()];
    const [m1, m2] = [newMoments(SIZE), zeroTensors()];
    const steps: StepSize[] = [
      RATES,
      { ...RATES, rates: { trunk: null, value: 0.1 } },
      { ...RATES, rates: { trunk: 0.02, value: null } },
      { ...RATES, maxGradNorm: 0 },
    ];
    for (const [i, size] of steps.entries()) {
      const g2 = onDevice(gradientAt(i));
      const norms = [await adamwStep(loop, m1, onHost(gradientAt(i)), size), await adamwStep(tensors, m2, g2, size)];
      disposeGradient(g2);
      expect(norms[0]).toBeCloseTo(norms[1], 4);
      near(loop.flat.dataSync(), tensors.flat.dataSync());
    }
    const [a, b] = [await readMoments(m1), await readMoments(m2)];
    near(a.m, b.m);
    near(a.v, b.v);
    expect(a.steps).toEqual({ trunk: 3, value: 3 });
    expect(b.steps).toEqual(a.steps);
  });

  it("moves each parameter by its part's rate on the first step, decay apart", async () => {
    const one = trainable();
    await adamwStep(one, newMoments(SIZE), onHost(gradientAt(0)), { ...RATES, weightDecay: 0 });
    one.flat
      .dataSync()
      .forEach((p, i) => expect(Math.abs(p - START[i])).toBeCloseTo(VALUE.includes(i) ? 0.1 : 0.01, 5));
  });

  it('leaves a part without a rate exactly as it is', async () => {
    const one = trainable();
    const moments = newMoments(SIZE);
    await adamwStep(one, moments, onHost(gradientAt(0)), { ...RATES, rates: { trunk: 0.01, value: null } });
    for (const i of VALUE) {
      expect(one.flat.dataSync()[i]).toBe(START[i]);
      expect((moments.m as Float32Array)[i]).toBe(0);
    }
  });

  it.each([NaN, Infinity])('changes nothing for a gradient of %s', async (bad) => {
    for (const kind of [onHost, onDevice]) {
      const one = trainable();
      const moments = newMoments(SIZE);
      const norm = await adamwStep(one, moments, kind(gradientAt(0).fill(bad, 2, 3)), RATES);
      expect(Number.isFinite(norm)).toBe(false);
      expect(Float32Array.from(one.flat.dataSync())).toEqual(START);
      expect(moments.steps).toEqual({ trunk: 0, value: 0 });
    }
  });

  it('gathers gradients in the order of the flat variable, by loop and by tensors, zero where there are none', () => {
    const named = { c: tf.tensor1d([1, 2]), a: tf.tensor2d([[1, 2], [3, 4]]) }; // prettier-ignore
    const host = newGradient(trainable());
    const onTensors: FlatGradient = { ...host, host: null };
    const expected = [2, 4, 6, 8, 0, 0, 0, 0, 0, 3, 3];
    for (const times of [1, 2])
      for (const sum of [host, onTensors]) {
        addGradients(
          sum,
          named,
          () => tf.add(tf.sum(tf.square(named.a)), tf.mul(tf.sum(named.c), 3)) as tf.Scalar,
        ).dispose();
        near(sum.host ?? sum.device!.dataSync(), expected.map((x) => x * times)); // prettier-ignore
      }
    disposeGradient(onTensors);
  });

  it('refuses a saved state that does not fit', () => {
    const saved = { m: new Float32Array(3), v: new Float32Array(3), steps: { trunk: 1, value: 1 } };
    expect(() => restoreMoments(saved, 4)).toThrow(/4 parameters/);
    expect(() => restoreMoments({ ...saved, steps: { trunk: 0.5, value: 1 } }, 3)).toThrow(/whole numbers/);
    expect(() => restoreMoments({ ...saved, v: Float32Array.of(0, -1, 0) }, 3)).toThrow(/negative/);
    expect(restoreMoments(saved, 3).steps).toEqual({ trunk: 1, value: 1 });
  });
});
