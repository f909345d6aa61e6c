/**
 * What the status bar says about a job. The time left is honest: when nothing has moved for ten seconds it is "stalled",
 * and while it is unknown nothing is claimed.
 */
import type { Job, JobState } from '../../workflows/protocol.ts';
import { duration } from '../kit/format.ts';
import { words } from '../words.ts';

export const STALLED_AFTER_MS = 10_000;

const moving: readonly JobState[] = ['starting', 'running', 'pausing', 'stopping'];

/** Whether something happens to it right now. */
export function isMoving(state: JobState): boolean {
  return moving.includes(state);
}

export function isActive(state: JobState): boolean {
  return isMoving(state) || state === 'paused' || state === 'queued';
}

export function isStalled(job: Job, now: number): boolean {
  return isMoving(job.state) && now - job.movedAt > STALLED_AFTER_MS;
}

/** "stalled for 24 s", "4 min left", or "" when nothing can be said. */
export function timeLeft(job: Job, now: number): string {
  if (isStalled(job, now)) return words.job.stalled(duration(now - job.movedAt));
  if (job.state !== 'running' || job.etaMs === null) return '';
  return words.job.left(duration(job.etaMs));
}

/** Where a run stands in the line: how many wait before it, and whether the line is held because nothing moves. */
export function placeInQueue(jobs: readonly Job[], run: string): { before: number; held: boolean } | null {
  const before = jobs.filter(({ state }) => state === 'queued').findIndex((job) => job.run === run);
  return before < 0 ? null : { before, held: !jobs.some(({ state }) => isMoving(state)) };
}

/** Whether something trains, so that what is started now has to wait. */
export function isBusy(jobs: readonly Job[]): boolean {
  return jobs.some(({ state }) => isMoving(state));
}

/** Whole share done, the step's own progress included; [0, 1]. */
export function progress(job: Job): number {
  if (job.steps <= 0) return 0;
  const within = job.total > 0 ? Math.min(1, job.done / job.total) : 0;
  return Math.min(1, (job.step + (job.state === 'done' ? 0 : within)) / job.steps);
}

/** The job a bar with room for one shows: the one that moves, else the paused one, latest first, else what waits. */
export function foremost(jobs: readonly Job[]): Job | null {
  const active = jobs.filter((job) => isActive(job.state));
  return (
    active.find((job) => isMoving(job.state)) ?? active.findLast((job) => job.state === 'paused') ?? active[0] ?? null
  );
}
