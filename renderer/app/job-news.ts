/**
 * What is worth telling a person who looks elsewhere: a long job that ended, failed or was paused by something else than
 * them, and one that has not moved for a minute. Each is told once. Knows no window and asks for no permission.
 */
import type { Job } from '../../workflows/protocol.ts';
import { duration } from '../kit/format.ts';
import { words } from '../words.ts';
import { isMoving } from './job-status.ts';

/** Who waits less than this is still looking. */
const LONG_MS = 60_000;
const STALL_MS = 60_000;

export type News = { readonly level: 'info' | 'warning' | 'error'; readonly run: string; readonly text: string };

export class JobNews {
  readonly #since = new Map<string, number>();
  readonly #stalled = new Set<string>();

  /** A job said something at `now`; null where that is no news. */
  moved(job: Job, now: number): News | null {
    this.#stalled.delete(job.run);
    const since = this.#since.get(job.run);
    if (isMoving(job.state)) {
      if (since === undefined) this.#since.set(job.run, now);
      return null;
    }
    this.#since.delete(job.run);
    if (since === undefined || now - since < LONG_MS) return null;
    return ended(job, now - since);
  }

  /** Jobs that have been still for a minute and were not told of before. */
  still(jobs: Iterable<Job>, now: number): News[] {
    return [...jobs].flatMap((job): News[] => {
      if (!isMoving(job.state) || now - job.movedAt < STALL_MS || this.#stalled.has(job.run)) return [];
      this.#stalled.add(job.run);
      const text = words.news.stalled(job.title, duration(now - job.movedAt));
      return [{ level: 'warning', run: job.run, text }];
    });
  }
}

function ended({ run, title, state, error, step, steps }: Job, ms: number): News | null {
  if (state === 'done') return { level: 'info', run, text: words.news.done(title, steps, duration(ms)) };
  if (state === 'failed') return { level: 'error', run, text: words.news.failed(title, step) };
  // A person who paused or stopped it knows; what came with a reason came from elsewhere.
  if (state === 'paused' && error !== undefined) return { level: 'warning', run, text: words.news.paused(title, step) };
  return null;
}
