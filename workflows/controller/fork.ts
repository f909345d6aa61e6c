/**
 * A trace changed at one record and run on from there: with the workflow, cast and questions it was run with, and with the
 * weights that stood nearest to those which spoke then. The forks are kept beside the traces.
 */
import { UserError } from '../../engine/errors.ts';
import { settleRewards } from '../rewards/javascript.ts';
import type { Outside } from '../run/answering.ts';
import type { Pinned } from '../run/pinned.ts';
import { runForks } from '../run/runner.ts';
import type { Cast } from '../schema/cast.ts';
import type { RunConfig } from '../schema/run.ts';
import { forkChangeSchema, type ForkChange, type Trace } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Task } from '../tasks/task.ts';
import { newForkIds, readAnyTrace, writeFork } from '../workspace/forks.ts';
import { QUESTIONS } from '../workspace/layout.ts';
import { askedWith } from '../workspace/questions.ts';
import { listCheckpoints, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import type { EngineRoom } from './engine-room.ts';
import { withTeam } from './team.ts';

/** Most forks made at once. */
const changesMax = 64;

/** What a trace was run with. */
export type Origin = {
  workflow: Workflow;
  cast: Cast;
  task: RunConfig['task'];
  seed: number;
  web: boolean;
  pinned?: Pinned | undefined;
  /** The checkpoint nearest to the weights that spoke; null for untrained ones. */
  weights: { run: string; step: number } | null;
};

export type Forking = {
  request: { run: string; trace: string; record: string; changes: readonly ForkChange[] };
  origin: Origin;
  store: Store;
  room: EngineRoom;
  task: Task;
  outside?: Outside | undefined;
  call: string;
  cancelled: () => boolean;
};

export async function forkTrace({
  request: { run, trace, record, changes },
  origin: { workflow, cast, seed, web, pinned, weights },
  store,
  room,
  task,
  outside,
  call,
  cancelled,
}: Forking): Promise<Trace[]> {
  if (changes.length === 0 || changes.length > changesMax)
    throw new UserError(`A trace cannot be forked ${changes.length} times at once; give 1 to ${changesMax} changes`);
  for (const change of changes) {
    const checked = forkChangeSchema.safeParse(change);
    if (!checked.success) throw new UserError(`Not a change of a record: ${checked.error.issues[0].message}`);
  }
  const parent = await readAnyTrace(store, run, trace);
  const known = [...task.train, ...task.heldOut].find(({ id }) => id === parent.query.id);
  const query = known ?? (run === QUESTIONS ? parent.query : undefined);
  if (query === undefined)
    throw new UserError(
      `The task ${task.name} no longer has the question ${parent.query.id} of this trace, so it cannot be run again`,
    );
  const ids = await newForkIds(store, run, trace, changes.length);
  const seating = { store, room, cast, seed, prefix: 'fork', weights, outside, call };
  const forks = await withTeam(seating, (generate) =>
    runForks(
      {
        workflow,
        cast,
        query,
        task,
        seed,
        generate,
        cancelled,
        pinned,
        ...(web && outside?.web !== undefined ? { web: outside.web } : {}),
      },
      parent,
      record,
      changes.map((change, i) => ({ id: ids[i], change })),
    ),
  );
  const settled = await Promise.all(forks.map((fork) => settleRewards(workflow, cast, fork)));
  const done = settled.map((fork, i): Trace => ({
    ...fork,
    fork: { of: trace, record, change: changes[i], weights: weights?.step ?? 0 },
  }));
  for (const fork of done) await writeFork(store, run, fork);
  return done;
}

/** What a trace of a run, or a question asked by itself, was run with. Throws a UserError where that is no longer kept. */
export async function originOf(store: Store, run: string, trace: string): Promise<Origin> {
  if (run === QUESTIONS) return askedWith(store, trace);
  const config = await readRun(store, run);
  const step = await weightsFor(store, run, await readAnyTrace(store, run, trace));
  return {
    ...config,
    seed: config.settings.seed,
    web: config.web === true,
    weights: step === 0 ? null : { run, step },
  };
}

/**
 * The step of the checkpoint nearest to the weights that spoke: a step's answers in training come from the weights before
 * it, an evaluation's from those after it. Without an earlier checkpoint it is the untrained team's 0.
 */
async function weightsFor(store: Store, run: string, { phase, step }: Trace): Promise<number> {
  const spoke = phase === 'train' ? step - 1 : step;
  return (await listCheckpoints(store, run)).filter((each) => each <= spoke).at(-1) ?? 0;
}
