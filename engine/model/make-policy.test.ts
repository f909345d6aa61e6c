/** Policies on one base: shared weights, first values, gradients through the cuts, checkpoints there and back. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { filesAt } from '../formats/folder.node.ts';
import { openModel } from '../formats/model-files.ts';
import { openSafetensors, readFloats, readInts } from '../formats/safetensors.ts';
import { FIXTURES, missing, openPath } from '../formats/test-support.node.ts';
import { newMoments } from '../learn/moments.ts';
import type { FileOut, FileSet, PolicySpec } from '../protocol.ts';
import { loadBaseModel, type BaseModel } from './base-model.ts';
import { exportPolicy, importPolicy } from './checkpoint.ts';
import { chosenLogprobs } from './head.ts';
import { makePolicy, type BasePolicy } from './make-policy.ts';
import { headWeight } from './trunk.ts';

const MODEL = `${FIXTURES}/tiny-qwen2`;
const absent = missing(MODEL);
const FULL: PolicySpec = { policy: 'full', model: 'tiny', method: { kind: 'full' }, frozen: false, seed: 3 };
const LINEARS = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];
const LORA: PolicySpec = { ...FULL, policy: 'lora', method: { kind: 'lora', rank: 4, alpha: 8, targets: LINEARS } };

const asSet = (files: readonly FileOut[]): FileSet =>
  Object.fromEntries(files.map(({ name, bytes }) => [name, { kind: 'bytes', bytes }]));

describe.skipIf(absent)(`policies ${absent ?? ''}`, () => {
  let device: Device;
  let base: BaseModel;
  const made: BasePolicy[] = [];
  const make = (spec: PolicySpec): BasePolicy => (made.push(makePolicy(spec, base)), made.at(-1)!);

  /** Final hidden states of a fixed sequence. */
  const states = (policy: BasePolicy): Float32Array =>
    tf.tidy(
      () =>
        policy.trunk
          .forward(
            { ids: Int32Array.of(3, 1, 4, 1, 5), batch: 1, length: 5, lengths: Int32Array.of(5) },
            policy.using(),
          )
          .dataSync() as Float32Array,
    );

  beforeAll(async () => {
    device = await openDevice('wasm');
    base = await loadBaseModel('tiny', await openModel(await filesAt(MODEL)), () => {});
  });
  afterAll(async () => {
    for (const policy of made) policy.dispose();
    base.dispose();
    await device.close();
  });

  it.each([
    [{ rollout: 'f16' }, 'is to sample with f16 weights, which this device cannot'],
    [{ keys: 'f16' }, 'is to keep f16 keys, which takes WebGPU'],
    [{ activations: 'f16' }, 'is to pass on f16 activations, which takes WebGPU with the feature shader-f16'],
    [{ keys: 'q8' }, 'There are no q8 keys; use f32 or f16'],
    [{ activations: 'q8' }, 'There are no q8 activations; use f32 or f16'],
  ] as const)('refuse to sample in a way the device has no kernels for: %j', (how, sentence) => {
    expect(() => makePolicy({ ...FULL, ...how } as PolicySpec, base)).toThrow(sentence);
  });

  it('start as the base model, whatever the method', () => {
    const frozen = states(make({ ...FULL, policy: 'frozen', frozen: true }));
    expect(states(make(FULL))).toEqual(frozen);
    expect(states(make(LORA))).toEqual(frozen);
  });

  it('draw A from the seed and leave B and the value head zero', () => {
    const [one, two, same] = [make(LORA), make({ ...LORA, seed: 4 }), make(LORA)].map(
      (policy) => policy.trainable!.flat.dataSync() as Float32Array,
    );
    expect(one).toEqual(same);
    expect(one).not.toEqual(two);
    for (const { name, offset, size, shape } of made.at(-1)!.trainable!.layout) {
      const values = one.slice(offset, offset + size);
      if (!name.endsWith('lora_A')) expect(values.every((value) => value === 0)).toBe(true);
      else expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.8 / Math.sqrt(shape[1]));
    }
  });

  it('see an in-place write to the flat variable after changed()', () => {
    const policy = make(FULL);
    const before = states(policy);
    policy.trainable!.flat.assign(tf.tidy(() => tf.mul(policy.trainable!.flat, 1.5) as tf.Tensor1D));
    policy.changed();
    expect(states(policy)).not.toEqual(before);
    expect(states(make(LORA))).toEqual(before); // the base itself is untouched
  });

  it('leave no tensors and no memory behind', () => {
    const before = tf.memory();
    const policy = makePolicy(FULL, base);
    states(policy);
    tf.tidy(() => void policy.cut());
    policy.dispose();
    expect(tf.memory().numTensors).toBe(before.numTensors);
    expect(tf.memory().numBytes).toBe(before.numBytes);
  });

  it('give the reference gradients of every parameter', async () => {
    const expected = await openSafetensors(await openPath(`${MODEL}/expected.safetensors`));
    const ids = await readInts(expected, 'input_ids');
    const lengths = await readInts(expected, 'lengths');
    const policy = make(FULL);
    const rows = [...lengths].flatMap((length, b) => Array.from({ length: length - 1 }, (_, t) => b * 24 + t));
    const named = policy.cut();
    const names = policy.trainable!.layout.filter(({ part }) => part === 'trunk').map(({ name }) => name);
    const loss = (...tensors: tf.Tensor[]): tf.Scalar => {
      const using = policy.using(Object.fromEntries(names.map((name, i) => [name, tensors[i]])));
      const hidden = tf.reshape(
        policy.trunk.forward({ ids, batch: 2, length: 24, lengths }, using),
        [48, -1],
      ) as tf.Tensor2D;
      const targets = Int32Array.from(rows, (row) => ids[row + 1]);
      const { logprobs } = chosenLogprobs(
        tf.gather(hidden, tf.tensor1d(rows, 'int32')),
        headWeight(base.config, using.weights),
        targets,
        { entropyGradient: false, trainHead: true },
      );
      return tf.neg(tf.mean(logprobs));
    };
    const { value, grads } = tf.valueAndGrads(loss)(names.map((name) => named[name]));
    expect(value.dataSync()[0]).toBeCloseTo((await readFloats(expected, 'nll'))[0], 4);
    for (const [i, name] of names.entries()) {
      const wanted = await readFloats(expected, `grad.${name}`);
      const got = grads[i].dataSync();
      const largest = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      for (let j = 0; j < wanted.length; j++) expect(Math.abs(got[j] - wanted[j])).toBeLessThan(1e-3 * largest + 1e-9);
    }
    tf.dispose(named);
  });

  it.each([FULL, LORA])('return from a checkpoint with weights, value head and optimiser: $policy', async (spec) => {
    const policy = make(spec);
    const size = policy.trainable!.size;
    policy.trainable!.flat.assign(tf.randomNormal([size], 0, 0.05, 'float32', 7));
    policy.changed();
    policy.moments = {
      ...newMoments(size),
      m: Float32Array.from({ length: size }, (_, i) => i / size),
      steps: { trunk: 5, value: 6 },
    };
    const files = await exportPolicy(policy, 'checkpoint');
    const other = make({ ...spec, seed: 99 });
    await importPolicy(other, asSet(files));
    expect(other.trainable!.flat.dataSync()).toEqual(policy.trainable!.flat.dataSync());
    expect(other.moments).toEqual(policy.moments);
    expect(states(other)).toEqual(states(policy));
  });

  it('merge an adapter into weights that give the same states', async () => {
    const policy = make(LORA);
    await importPolicy(policy, await filesAt(`${MODEL}/adapter`));
    const merged = await openModel(asSet(await exportPolicy(policy, 'merged')));
    const whole = await loadBaseModel('merged', merged, () => {});
    const alone = makePolicy({ ...FULL, frozen: true }, whole);
    const [wanted, got] = [states(policy), states(alone)];
    expect(wanted).not.toEqual(states(make(FULL)));
    for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i] - wanted[i])).toBeLessThan(1e-4);
    whole.dispose();
  });

  it('refuse what does not fit, and stay as they were', async () => {
    const lora = make(LORA);
    const before = lora.trainable!.flat.dataSync();
    const checkpoint = await exportPolicy(lora, 'checkpoint');
    const without = (name: string): FileSet => asSet(checkpoint.filter((file) => file.name !== name));
    await expect(importPolicy(lora, without('value_head.safetensors'))).rejects.toThrow(/lacks value_head/);
    await expect(importPolicy(lora, {})).rejects.toThrow(/neither a checkpoint/);
    await expect(importPolicy(make(FULL), asSet(checkpoint))).rejects.toThrow(/method "?lora/);
    await expect(importPolicy(make({ ...FULL, frozen: true }), asSet(checkpoint))).rejects.toThrow(/frozen/);
    await expect(
      importPolicy(
        make({ ...LORA, method: { kind: 'lora', rank: 2, alpha: 8, targets: LINEARS } }),
        await filesAt(`${MODEL}/adapter`),
      ),
    ).rejects.toThrow(/rank is 4/);
    await expect(
      importPolicy(
        make({ ...LORA, method: { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj'] } }),
        await filesAt(`${MODEL}/adapter`),
      ),
    ).rejects.toThrow(/does not train/);
    await expect(exportPolicy(make(FULL), 'peft')).rejects.toThrow(/no adapter/);
    expect(lora.trainable!.flat.dataSync()).toEqual(before);
    for (const method of [{ rank: 0 }, { alpha: -1 }, { targets: ['nope'] }, { layers: [99] }, { targets: [] }]) {
      expect(() => make({ ...LORA, method: { kind: 'lora', rank: 4, alpha: 8, targets: LINEARS, ...method } })).toThrow(
        /LoRA/,
      );
    }
  });
});
