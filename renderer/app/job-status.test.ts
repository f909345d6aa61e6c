import { describe, expect, it } from 'vitest';
import type { Job } from '../../workflows/protocol.ts';
import { foremost, isBusy, isStalled, placeInQueue, progress, timeLeft } from './job-status.ts';

const job: Job = {
  run: 'a',
  title: 'A',
  state: 'running',
  step: 4,
  steps: 10,
  phase: 'rollout',
  done: 16,
  total: 32,
  etaMs: 240_000,
  movedAt: 1_000,
};

describe('job status', () => {
  it('says stalled only after ten seconds without movement', () => {
    expect(isStalled(job, 11_000)).toBe(false);
    expect(isStalled(job, 11_001)).toBe(true);
    expect(timeLeft(job, 25_000)).toBe('stalled for 24 s');
    expect(isStalled({ ...job, state: 'paused' }, 999_999)).toBe(false);
  });
  it('claims no time it does not know', () => {
    expect(timeLeft(job, 2_000)).toBe('4 min left');
    expect(timeLeft({ ...job, etaMs: null }, 2_000)).toBe('');
    expect(timeLeft({ ...job, state: 'paused' }, 2_000)).toBe('');
  });
  it('tells the place in the line, and when the line is held', () => {
    const waiting = ['x', 'y'].map((run): Job => ({ ...job, run, state: 'queued' }));
    expect(placeInQueue([job, ...waiting], 'y')).toEqual({ before: 1, held: false });
    expect(placeInQueue([{ ...job, state: 'paused' }, ...waiting], 'x')).toEqual({ before: 0, held: true });
    expect(placeInQueue([job], 'a')).toBeNull();
    expect([isBusy([job]), isBusy(waiting)]).toEqual([true, false]);
  });
  it('counts the running step as a part', () => {
    expect(progress(job)).toBeCloseTo(0.45);
    expect(progress({ ...job, step: 10, state: 'done' })).toBe(1);
    expect(progress({ ...job, steps: 0 })).toBe(0);
  });
  it('prefers the job that moves', () => {
    const paused: Job = { ...job, run: 'b', state: 'paused' };
    expect(foremost([paused, job])?.run).toBe('a');
    expect(foremost([paused])?.run).toBe('b');
    expect(foremost([{ ...job, state: 'queued' }, paused])?.run).toBe('b');
    expect(foremost([{ ...job, state: 'queued' }])?.run).toBe('a');
    expect(foremost([{ ...job, state: 'done' }])).toBeNull();
  });
});
