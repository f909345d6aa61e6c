import { describe, expect, it } from 'vitest';
import type { Job } from '../workflows/protocol.ts';
import { settleJobs } from './settle.ts';

function job(state: Job['state']): Job {
  return { run: 'r1', title: 't', state, step: 1, steps: 9, phase: '', done: 0, total: 0, etaMs: null, movedAt: 0 };
}

describe('settling before the program ends', () => {
  it('pauses what runs and waits until it has', async () => {
    let state: Job['state'] = 'running';
    const paused: string[] = [];
    const controller = {
      jobs: async () => [job(state)],
      pause: async (run: string) => {
        paused.push(run);
        state = 'pausing';
        setTimeout(() => (state = 'paused'), 300);
      },
    };
    expect(await settleJobs(controller, 5_000)).toBe(true);
    expect(paused).toEqual(['r1']);
    expect(state).toBe('paused');
  });

  it('leaves resting jobs alone', async () => {
    const controller = {
      jobs: async () => [job('paused'), job('done')],
      pause: () => Promise.reject(new Error('must not be called')),
    };
    expect(await settleJobs(controller, 1_000)).toBe(true);
  });

  it('gives up at the limit', async () => {
    const controller = { jobs: async () => [job('running')], pause: async () => {} };
    expect(await settleJobs(controller, 250)).toBe(false);
  });
});
