import { describe, expect, it } from 'vitest';
import type { Job } from '../../workflows/protocol.ts';
import { JobNews } from './job-news.ts';

const job: Job = { run: 'a', title: 'A', state: 'running', step: 9, steps: 10, phase: '', done: 0, total: 0, etaMs: null, movedAt: 0 }; // prettier-ignore

describe('news of jobs', () => {
  it('tells of a long job that ended, once', () => {
    const news = new JobNews();
    expect(news.moved(job, 0)).toBeNull();
    expect(news.moved({ ...job, state: 'done', step: 10 }, 125_000)).toEqual({
      level: 'info',
      run: 'a',
      text: 'A is done: 10 steps in 2 min.',
    });
    expect(news.moved({ ...job, state: 'done' }, 130_000)).toBeNull();
  });
  it('says nothing of short jobs, nor of what a person did', () => {
    const news = new JobNews();
    news.moved(job, 0);
    expect(news.moved({ ...job, state: 'done' }, 59_000)).toBeNull();
    news.moved(job, 0);
    expect(news.moved({ ...job, state: 'paused' }, 500_000)).toBeNull();
    news.moved(job, 0);
    expect(news.moved({ ...job, state: 'stopped' }, 500_000)).toBeNull();
    expect(news.moved({ ...job, run: 'old', state: 'done' }, 900_000)).toBeNull();
  });
  it('tells of failures and of pauses that came from elsewhere', () => {
    const news = new JobNews();
    news.moved(job, 0);
    expect(news.moved({ ...job, state: 'failed', error: 'x' }, 70_000)).toMatchObject({ level: 'error' });
    news.moved(job, 0);
    expect(news.moved({ ...job, state: 'paused', error: 'the device is gone' }, 70_000)).toMatchObject({
      level: 'warning',
      text: 'A was paused after step 9: its device or engine went away.',
    });
  });
  it('tells once that a job stands still, and again after it has moved', () => {
    const news = new JobNews();
    expect(news.still([job], 59_000)).toEqual([]);
    expect(news.still([job], 61_000)).toMatchObject([{ level: 'warning', text: 'A has not moved for 1 min.' }]);
    expect(news.still([job], 90_000)).toEqual([]);
    news.moved({ ...job, movedAt: 95_000 }, 95_000);
    expect(news.still([{ ...job, movedAt: 95_000 }], 160_000)).toHaveLength(1);
    expect(news.still([{ ...job, state: 'paused' }], 999_000)).toEqual([]);
  });
});
