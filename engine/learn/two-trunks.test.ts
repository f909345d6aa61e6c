/** The same training on WebGPU with the hand-written trunk and with the plain one: the losses of both, step by step. */
import '../device/register.node.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { filesAt } from '../formats/folder.node.ts';
import { openModel } from '../formats/model-files.ts';
import { FIXTURES, missing } from '../formats/test-support.node.ts';
import { loadBaseModel } from '../model/base-model.ts';
import { useTrunk, type TrunkKind } from '../model/choose-trunk.ts';
import { makePolicy } from '../model/make-policy.ts';
import type { PolicySpec } from '../protocol.ts';
import type { Hooks } from './forward.ts';
import { ppoSettings, sftSettings } from './settings.ts';
import { fineTune } from './sft.ts';
import { updatePolicy } from './update.ts';

const adapter = await findAdapter();
const MODEL = `${FIXTURES}/tiny-qwen3`;
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : missing(MODEL);
const HOOKS: Hooks = { onProgress: () => {}, cancelled: () => false, yieldToEvents: async () => {} };
const STEPS = 5;

/** Prompts that begin alike, with responses of unlike lengths. */
const SEQUENCES = Array.from({ length: 6 }, (_, r) => ({
  role: r % 2 ? 'asks' : 'answers',
  promptIds: [5, 6, 7, 8, ...Array.from({ length: 1 + ((r * 5) % 4) }, (__, t) => (r * 13 + t * 11) % 199)],
  ids: Array.from({ length: 1 + (r % 4) }, (__, t) => (r * 31 + t * 7 + 3) % 199),
}));

describe.skipIf(absent)(`training with either trunk ${absent ?? ''}`, { timeout: 600_000 }, () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice('webgpu');
  });
  afterAll(() => device.close());

  async function losses(kind: TrunkKind, method: PolicySpec['method'], way: 'sft' | 'ppo'): Promise<number[]> {
    const before = useTrunk(kind);
    const base = await loadBaseModel('tiny', await openModel(await filesAt(MODEL)), () => {});
    const policy = makePolicy({ policy: 'p', model: 'tiny', method, frozen: false, seed: 5 }, base);
    const out: number[] = [];
    for (let step = 0; step < STEPS; step++) {
      if (way === 'sft') {
        const settings = { ...sftSettings({ parameters: 1e5, method: method.kind, totalSteps: STEPS }), lr: 1e-2 };
        out.push((await fineTune(policy, SEQUENCES, settings, step, HOOKS)).loss);
      } else {
        const settings = { ...ppoSettings({ parameters: 1e5, method: method.kind, totalSteps: STEPS }), lr: 1e-3 };
        const records = SEQUENCES.map((sequence, r) => ({
          ...sequence,
          ...{
            record: `r${r}`,
            reward: (r * 3) % 5,
            turn: 0,
            group: `q${r % 3}`,
            logprobs: sequence.ids.map(() => -5),
          },
        }));
        const { metrics } = await updatePolicy(policy, records, settings, step, HOOKS);
        out.push(metrics['losses/entropy'], metrics['losses/value'], metrics['losses/policy']);
      }
    }
    policy.dispose();
    base.dispose();
    useTrunk(before);
    return out;
  }

  it.each([
    ['LoRA', { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'k_proj', 'gate_proj', 'down_proj'] }, 'sft'],
    ['full fine-tuning', { kind: 'full' }, 'sft'],
    ['full fine-tuning with PPO', { kind: 'full' }, 'ppo'],
  ] as [string, PolicySpec['method'], 'sft' | 'ppo'][])('gives the same losses: %s', async (_, method, way) => {
    const wanted = await losses('tfjs', method, way);
    const got = await losses('fast', method, way);
    if (way === 'sft') expect(wanted[STEPS - 1]).toBeLessThan(wanted[0] - 0.01);
    for (const [i, loss] of wanted.entries()) expect(Math.abs(got[i] - loss)).toBeLessThan(1e-3);
  });
});
