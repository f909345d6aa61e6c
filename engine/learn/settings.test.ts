/** Defaults by model size, schedules, and the refusal of every setting out of range. */
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { checkPpo, checkSft, defaultRates, ppoSettings, rateFactor, sftSettings } from './settings.ts';

const SIZED = { parameters: 135e6, method: 'full', totalSteps: 10 } as const;

describe('defaults', () => {
  it('pass their own checks at every size and method', () => {
    for (const parameters of [1e5, 1e6, 26e6, 135e6, 5e8, 7e9])
      for (const method of ['full', 'lora'] as const) {
        expect(() => checkPpo(ppoSettings({ parameters, method, totalSteps: 5 }))).not.toThrow();
        expect(() => checkSft(sftSettings({ parameters, method, totalSteps: 5 }))).not.toThrow();
      }
  });

  it('fall with size; adapters take twenty times as much, critics ten times, within their limits', () => {
    expect([1e6, 26e6, 135e6, 5e8].map((n) => defaultRates(n, 'full').lr)).toEqual([3e-4, 3e-5, 1e-5, 1e-6]);
    expect(defaultRates(135e6, 'lora')).toEqual({ lr: expect.closeTo(2e-4, 10), criticLr: expect.closeTo(1e-3, 10) });
    expect(defaultRates(1e6, 'lora').lr).toBe(1e-3);
  });

  it('measure the roles’ gradients at every step of a small model', () => {
    const every = (parameters: number) => ppoSettings({ ...SIZED, parameters }).roleGradients;
    expect([1e6, 26e6, 135e6].map(every)).toEqual([1, 1, 5]);
  });

  it('give way to what a person sets', () => {
    expect(ppoSettings(SIZED, { clip: 0.1, lr: 5e-6 })).toMatchObject({
      clip: 0.1,
      lr: 5e-6,
      gamma: 1,
      totalSteps: 10,
    });
  });
});

describe('schedule', () => {
  it('rises linearly, then stays or falls to zero', () => {
    const warm = { lrWarmup: 4, lrDecay: 'constant', totalSteps: 8 } as const;
    expect([0, 1, 3, 7].map((step) => rateFactor(step, warm))).toEqual([0.25, 0.5, 1, 1]);
    expect([0, 4, 8, 20].map((step) => rateFactor(step, { lrWarmup: 0, lrDecay: 'linear', totalSteps: 8 }))).toEqual([
      1, 0.5, 0, 0,
    ]);
  });
});

describe('checks', () => {
  const settings = ppoSettings(SIZED);
  const bad: [string, Record<string, unknown>][] = [
    ['estimator', { estimator: 'sarsa' }],
    ['gamma', { gamma: 1.5 }],
    ['lr', { lr: NaN }],
    ['lr', { lr: '1e-4' }],
    ['epochs', { epochs: 0 }],
    ['miniBatches', { miniBatches: 1.5 }],
    ['tokenBudget', { tokenBudget: 0 }],
    ['dualClip', { dualClip: 0.5 }],
    ['kl.kind', { kl: undefined }],
    ['kl.place', { kl: { kind: 'k1', place: 'nowhere', coef: 0 } }],
    ['kl.coef', { kl: { kind: 'k1', place: 'loss', coef: -1 } }],
    ['maxGradNorm', { maxGradNorm: Infinity }],
    ['totalSteps', { lrDecay: 'linear', totalSteps: 0 }],
  ];
  it.each(bad)('%s', (name, change) => {
    const attempt = () => checkPpo({ ...settings, ...change } as typeof settings);
    expect(attempt).toThrow(UserError);
    expect(attempt).toThrow(name);
  });
});
