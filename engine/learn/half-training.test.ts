/** Training with half floats between kernels: the losses of exact training, a scale that gives way, and checkpoints. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { filesAt } from '../formats/folder.node.ts';
import { openModel } from '../formats/model-files.ts';
import { FIXTURES, missing } from '../formats/test-support.node.ts';
import { loadBaseModel } from '../model/base-model.ts';
import { exportPolicy, importPolicy } from '../model/checkpoint.ts';
import { makePolicy, type BasePolicy } from '../model/make-policy.ts';
import type { ActivationPrecision, PolicySpec, SftReport } from '../protocol.ts';
import type { Hooks } from './forward.ts';
import { ppoSettings, sftSettings } from './settings.ts';
import { fineTune } from './sft.ts';
import { updatePolicy } from './update.ts';

const adapter = await findAdapter();
const MODEL = `${FIXTURES}/tiny-qwen3`;
const lacking = typeof adapter !== 'string' && !adapter.adapter.features.has('shader-f16');
const absent = typeof adapter === 'string' ? adapter : lacking ? 'the adapter has no half floats' : missing(MODEL);
const HOOKS: Hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: async () => {} };
const STEPS = 5;
const LORA: PolicySpec['method'] = { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'k_proj', 'gate_proj', 'down_proj'] }; // prettier-ignore
const FULL: PolicySpec['method'] = { kind: 'full' };

const SEQUENCES = Array.from({ length: 6 }, (_, r) => ({
  role: r % 2 ? 'asks' : 'answers',
  promptIds: [5, 6, 7, 8, ...Array.from({ length: 1 + ((r * 5) % 4) }, (__, t) => (r * 13 + t * 11) % 199)],
  ids: Array.from({ length: 1 + (r % 4) }, (__, t) => (r * 31 + t * 7 + 3) % 199),
}));
const RECORDS = SEQUENCES.map((sequence, r) => ({
  ...{ ...sequence, record: `r${r}`, reward: (r * 3) % 5, turn: 0, group: `q${r % 3}` },
  logprobs: sequence.ids.map(() => -5),
}));

describe.skipIf(absent)(`training with half floats ${absent ? `skipped: ${absent}` : ''}`, { timeout: 600_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  async function withPolicy<T>(
    method: PolicySpec['method'],
    activations: ActivationPrecision,
    work: (policy: BasePolicy) => Promise<T>,
  ): Promise<T> {
    const base = await loadBaseModel('tiny', await openModel(await filesAt(MODEL)), () => {});
    const policy = makePolicy({ policy: 'p', model: 'tiny', method, frozen: false, seed: 5, activations }, base);
    const made = await work(policy);
    policy.dispose();
    base.dispose();
    return made;
  }

  const step = (policy: BasePolicy, at: number): Promise<SftReport> => {
    const settings = sftSettings({ parameters: 1e5, method: policy.spec.method.kind, totalSteps: STEPS });
    return fineTune(policy, SEQUENCES, { ...settings, lr: 1e-2 }, at, HOOKS);
  };

  async function sftLosses(policy: BasePolicy): Promise<number[]> {
    const out: number[] = [];
    for (let at = 0; at < STEPS; at++) out.push((await step(policy, at)).loss);
    return out;
  }

  async function ppoLosses(policy: BasePolicy): Promise<number[]> {
    const out: number[] = [];
    for (let at = 0; at < STEPS; at++) {
      const settings = { ...ppoSettings({ parameters: 1e5, method: 'full', totalSteps: STEPS }), lr: 1e-3 };
      const { metrics, roles } = await updatePolicy(policy, RECORDS, settings, at, HOOKS);
      out.push(metrics['losses/entropy'], metrics['losses/value'], metrics['losses/policy']);
      expect(metrics['loss_scale']).toBe(policy.lossScale?.scale);
      const norms = Object.values(roles).flatMap(({ 'gradient/norm': norm }) => (norm === undefined ? [] : [norm]));
      expect(norms.length > 0 && norms.every(Number.isFinite)).toBe(true);
    }
    return out;
  }

  it.each([
    ['LoRA', LORA, sftLosses],
    ['full fine-tuning', FULL, sftLosses],
    ['full fine-tuning with PPO', FULL, ppoLosses],
  ] as const)('gives nearly the losses of exact training: %s', async (_, method, run) => {
    const [wanted, got] = [await withPolicy(method, 'f32', run), await withPolicy(method, 'f16', run)];
    if (run === sftLosses) expect(wanted[STEPS - 1]).toBeLessThan(wanted[0] - 0.01);
    for (const [i, loss] of wanted.entries()) expect(Math.abs(got[i] - loss)).toBeLessThan(1e-2 * Math.max(1, loss));
  });

  it('lowers a scale that is too large, takes the step all the same, and keeps both in a checkpoint', async () => {
    await withPolicy(FULL, 'f16', async (policy) => {
      const plain = await withPolicy(FULL, 'f16', (other) => step(other, 0));
      policy.lossScale!.scale = 2 ** 30;
      const report = await step(policy, 0);
      expect(report.notes).toEqual([expect.stringMatching(/^the loss scale went from 1,073,741,824 to [\d,]+: /)]);
      expect(report.lossScale).toBeLessThan(2 ** 30);
      expect([report.loss, plain.notes]).toEqual([plain.loss, []]);
      expect(report.gradNorm / plain.gradNorm).toBeCloseTo(1, 2);
      expect(policy.moments!.steps.trunk).toBe(1);
      const files = await exportPolicy(policy, 'checkpoint');
      await withPolicy(FULL, 'f16', async (resumed) => {
        const set = Object.fromEntries(files.map(({ name, bytes }) => [name, { kind: 'bytes' as const, bytes }]));
        await importPolicy(resumed, set);
        expect(resumed.lossScale).toEqual({ scale: report.lossScale, good: 1 });
        expect(await step(resumed, 1)).toEqual(await step(policy, 1));
      });
    });
  });

  it('skips a step that no scale makes finite, and leaves weights and scale as they were', async () => {
    await withPolicy(FULL, 'f16', async (policy) => {
      const { flat } = policy.trainable!;
      const values = (await flat.data()).slice();
      values[0] = NaN;
      flat.assign(tf.tensor1d(values as Float32Array));
      policy.changed();
      policy.lossScale!.scale = 4;
      const { notes } = await step(policy, 0);
      expect(notes).toEqual([expect.stringMatching('the step was skipped: its gradient is not finite')]);
      expect(policy.lossScale).toEqual({ scale: 4, good: 0 });
      expect([...(await flat.data())].slice(1, 100)).toEqual([...values].slice(1, 100));
    });
  });

  it('is exact where exactness is asked for', async () => {
    await withPolicy(FULL, 'f32', async (policy) => {
      expect(policy.lossScale).toBe(null);
      expect(await step(policy, 0)).not.toHaveProperty('lossScale');
    });
  });
});
