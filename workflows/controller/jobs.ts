/**
 * The jobs of one controller: one run trains, the others wait in line. The line moves on when a run is done, stopped or
 * failed; a run that is paused, by a person or because the device went away, holds it. What waits is on disk too, so that
 * the line outlives a crash.
 */
import { UserError } from '../../engine/errors.ts';
import type { Job } from '../protocol.ts';
import type { RunConfig } from '../schema/run.ts';
import type { Task } from '../tasks/task.ts';
import { enginePolicy, rolloutCall } from '../train/learn.ts';
import { train } from '../train/train.ts';
import { paths } from '../workspace/layout.ts';
import { listRuns, readMetrics, readRun, readState } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { seatedCast } from './branch.ts';
import type { EngineRoom } from './engine-room.ts';
import type { Host } from './host.ts';
import { TrainingJob, type JobEvents } from './job.ts';

export type Jobs = {
  running(): TrainingJob | undefined;
  find(run: string): TrainingJob | undefined;
  /** All of this controller, those that wait in the order of the line. */
  list(): Promise<Job[]>;
  /** Trains a run that stands on disk: at once, or when its turn comes. */
  begin(config: RunConfig): Promise<{ run: string }>;
  pause(run: string): Promise<void>;
  stop(run: string): Promise<void>;
  /** Goes on with a run; one that waits is next. */
  resume(run: string): Promise<void>;
  /** Takes a run for this controller and forgets its job, so that it can be removed. */
  dismiss(run: string): Promise<void>;
  settled(run: string): Promise<void>;
  close(): Promise<void>;
};

type Entry = { readonly job: TrainingJob; readonly settled: Promise<void>; readonly settle: () => void };

type Parts = {
  store: Store;
  room: EngineRoom;
  outside(run: string): Host['outside'];
  events: JobEvents & { onNotice(notice: { level: 'error'; text: string }): void };
  taskOf(frozen: RunConfig['task']): Promise<Task>;
  /** Ends the turns of persons that the run waits for. */
  letGo(run: string): void;
};

const moving: readonly Job['state'][] = ['starting', 'running', 'pausing', 'stopping'];

export function openJobs({ store, room, outside, events, taskOf, letGo }: Parts): Jobs {
  const entries = new Map<string, Entry>();
  let waiting: Entry[] = [];
  /** The last run's work, which ends only when its policies are given back. */
  let last: Promise<void> = Promise.resolve();
  let closing = false;
  let recovered: Promise<void> | null = null;

  const running = () => [...entries.values()].find(({ job }) => moving.includes(job.job.state))?.job;

  const claim = async (run: string): Promise<void> => {
    if (!(await store.claim(paths.claim(run))))
      throw new UserError(`Run ${run} is being trained by another Troupe; pause it there first`);
  };

  const refuseIfActive = (run: string): void => {
    const state = entries.get(run)?.job.job.state;
    if (state === 'queued') throw new UserError(`Run ${run} is waiting to train; stop it first`);
    if (state !== undefined && moving.includes(state)) throw new UserError(`Run ${run} is training; stop it first`);
  };

  const lastStep = async (run: string) => (await readMetrics(store, run)).at(-1)?.step ?? 0;

  const enter = (config: RunConfig, step: number): Entry => {
    let settle = (): void => {};
    const settled = new Promise<void>((resolve) => (settle = resolve));
    const entry = { job: new TrainingJob(config, store, events, step), settled, settle };
    entries.delete(config.id); // to the end of the list
    entries.set(config.id, entry);
    return entry;
  };

  const start = (entry: Entry): void => {
    const earlier = last;
    last = work(entry, earlier)
      .catch((error: unknown) => (entry.job.failure ??= error)) // the disk would not even take that it failed
      .then(() => {
        entry.settle();
        if (entry.job.job.state !== 'paused') next();
      });
  };

  const next = (): void => {
    if (closing || running()) return;
    const entry = waiting.shift();
    if (entry) start(entry);
  };

  const begin = async (config: RunConfig): Promise<{ run: string }> => {
    refuseIfActive(config.id);
    await claim(config.id);
    const step = await lastStep(config.id);
    refuseIfActive(config.id);
    const entry = enter(config, step);
    if (running() === undefined) {
      start(entry);
    } else {
      waiting.push(entry);
      await entry.job.become('queued');
    }
    return { run: config.id };
  };

  const work = async ({ job }: Entry, earlier: Promise<void>): Promise<void> => {
    const { config } = job;
    const cast = seatedCast(config);
    const nameOf = (policy: string) => enginePolicy(config.id, policy);
    try {
      await job.become('starting');
      await earlier;
      const task = await taskOf(config.task);
      await room.seat(cast, config.settings.seed, nameOf, (phase) => job.preparing(phase, 0, 1));
      await job.become('running');
      const engine = await room.engine();
      const end = await train({ config, task, engine, store, outside: outside(config.id), hooks: job.hooks() });
      await job.become(end.outcome);
    } catch (error) {
      await failed(job, error);
    } finally {
      await room.unseat(Object.keys(cast.policies).map(nameOf)).catch(() => {});
      if (entries.get(config.id)?.job === job) await store.release(paths.claim(config.id));
    }
  };

  /** A lost device or a crash of the engine pauses: everything up to the last checkpoint is on disk. */
  const failed = async (job: TrainingJob, error: unknown): Promise<void> => {
    const text = error instanceof Error ? error.message : String(error);
    if (job.job.state === 'pausing') return job.become('paused', text);
    job.failure = error;
    events.onNotice({ level: 'error', text });
    await job.become('failed', text);
  };

  /** What is being sampled is set aside anyway; what is being learned is finished. */
  const endRollout = async (run: string): Promise<void> => {
    if (running()?.config.id !== run) return;
    letGo(run);
    await (await room.engine()).cancel(rolloutCall(run));
  };

  /** Whether the run waited, and waits no more. */
  const leave = async (run: string, state: 'paused' | 'stopped'): Promise<boolean> => {
    const entry = waiting.find(({ job }) => job.config.id === run);
    if (!entry) return false;
    waiting = waiting.filter((each) => each !== entry);
    await entry.job.become(state);
    await store.release(paths.claim(run));
    entry.settle();
    return true;
  };

  /** What waited when the process before this one ended waits again, in its order, until a person goes on with something. */
  const recover = async (): Promise<void> => {
    const found: { run: string; since: number }[] = [];
    for (const run of await listRuns(store))
      if (!entries.has(run) && (await readState(store, run))?.state === 'queued')
        found.push({ run, since: (await store.stat(paths.state(run)))?.modifiedMs ?? 0 });
    for (const { run } of found.sort((a, b) => a.since - b.since)) {
      const config = await readRun(store, run).catch(() => null);
      if (config === null || entries.has(run) || !(await store.claim(paths.claim(run)))) continue;
      const entry = enter(config, await lastStep(run));
      waiting.push(entry);
      await entry.job.become('queued');
    }
  };

  return {
    running,
    find: (run) => entries.get(run)?.job,
    list: async () => {
      await (recovered ??= recover());
      const queued = waiting.map(({ job }) => job);
      const others = [...entries.values()].map(({ job }) => job).filter((job) => !queued.includes(job));
      return [...others, ...queued].map(({ job }) => job);
    },
    begin,
    pause: async (run) => {
      const entry = entries.get(run);
      if (!entry) throw new UserError(`Run ${run} is not training`);
      if (await leave(run, 'paused')) return;
      entry.job.ask('pause');
      await endRollout(run);
    },
    stop: async (run) => {
      if (await leave(run, 'stopped')) return;
      const entry = entries.get(run);
      if (entry && running() === entry.job) {
        entry.job.ask('stop');
        return endRollout(run);
      }
      await new TrainingJob(await readRun(store, run), store, events).become('stopped');
    },
    resume: async (run) => {
      const entry = waiting.find(({ job }) => job.config.id === run);
      if (!entry) {
        await begin(await readRun(store, run));
        return;
      }
      waiting = [entry, ...waiting.filter((each) => each !== entry)];
      next();
    },
    dismiss: async (run) => {
      refuseIfActive(run);
      await claim(run);
      entries.delete(run);
    },
    settled: async (run) => {
      const found = entries.get(run);
      await found?.settled;
      if (found?.job.failure !== undefined) throw found.job.failure;
    },
    close: async () => {
      closing = true;
      const current = running();
      current?.ask('pause');
      if (current) await endRollout(current.config.id);
      await last;
      for (const { job } of waiting) await store.release(paths.claim(job.config.id));
    },
  };
}
