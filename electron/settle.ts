/**
 * Brings running jobs to rest before the program ends: each is paused, which finishes or drops its step and writes it down.
 * Knows the controller alone, no window.
 */
import type { ControllerApi, Job } from '../workflows/protocol.ts';

const moving: readonly Job['state'][] = ['starting', 'running', 'pausing', 'stopping'];
const pollMs = 200;

/** What `work` gives, or `otherwise` when it has given nothing after `limitMs`. */
export function within<T>(work: Promise<T>, limitMs: number, otherwise: T): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<T>((settle) => (timer = setTimeout(() => settle(otherwise), limitMs)));
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

export async function movingJobs(controller: Pick<ControllerApi, 'jobs'>): Promise<Job[]> {
  return (await controller.jobs()).filter((job) => moving.includes(job.state));
}

/** Resolves to true when nothing moves any more, false when something still did after `limitMs`. */
export async function settleJobs(controller: Pick<ControllerApi, 'jobs' | 'pause'>, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  for (const job of await movingJobs(controller)) {
    if (job.state === 'running' || job.state === 'starting') void controller.pause(job.run).catch(() => {});
  }
  while ((await movingJobs(controller)).length) {
    if (Date.now() > deadline) return false;
    await new Promise((next) => setTimeout(next, pollMs));
  }
  return true;
}
