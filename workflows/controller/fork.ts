/**
 * A trace of a run, changed at one record and run on from there: with the run's own workflow, cast and questions, and with
 * the weights that stood nearest to those which spoke then. The forks are kept beside the run's traces.
 */
import { UserError } from '../../engine/errors.ts';
import { settleRewards } from '../rewards/javascript.ts';
import type { Outside } from '../run/answering.ts';
import { runForks } from '../run/runner.ts';
import type { RunConfig } from '../schema/run.ts';
import { forkChangeSchema, type ForkChange, type Trace } from '../schema/trace.ts';
import type { Task } from '../tasks/task.ts';
import { newForkIds, readAnyTrace, writeFork } from '../workspace/forks.ts';
import { listCheckpoints } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import type { EngineRoom } from './engine-room.ts';
import { withTeam } from './team.ts';

/** Most forks made at once. */
const changesMax = 64;

export type Forking = {
  request: { trace: string; record: string; changes: readonly ForkChange[] };
  config: RunConfig;
  store: Store;
  room: EngineRoom;
  task: Task;
  outside?: Outside | undefined;
  call: string;
  cancelled: () => boolean;
};

export async function forkTrace({
  request: { trace, record, changes },
  config,
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
  const parent = await readAnyTrace(store, config.id, trace);
  const query = [...task.train, ...task.heldOut].find(({ id }) => id === parent.query.id);
  if (query === undefined)
    throw new UserError(
      `The task ${task.name} no longer has the question ${parent.query.id} of this trace, so it cannot be run again`,
    );
  const { workflow, cast, settings } = config;
  const step = await weightsFor(store, config.id, parent);
  const weights = step === 0 ? null : { run: config, step };
  const ids = await newForkIds(store, config.id, trace, changes.length);
  const seating = { store, room, cast, seed: settings.seed, prefix: 'fork', weights, outside, call };
  const forks = await withTeam(seating, (generate) =>
    runForks(
      {
        workflow,
        cast,
        query,
        task,
        seed: settings.seed,
        generate,
        cancelled,
        ...(config.web === true && outside?.web !== undefined ? { web: outside.web } : {}),
      },
      parent,
      record,
      changes.map((change, i) => ({ id: ids[i], change })),
    ),
  );
  const settled = await Promise.all(forks.map((fork) => settleRewards(workflow, cast, fork)));
  const done = settled.map((fork, i): Trace => ({
    ...fork,
    fork: { of: trace, record, change: changes[i], weights: step },
  }));
  for (const fork of done) await writeFork(store, config.id, fork);
  return done;
}

/**
 * The step of the checkpoint nearest to the weights that spoke: a step's answers in training come from the weights before
 * it, an evaluation's from those after it. Without an earlier checkpoint it is the untrained team's 0.
 */
async function weightsFor(store: Store, run: string, { phase, step }: Trace): Promise<number> {
  const spoke = phase === 'train' ? step - 1 : step;
  return (await listCheckpoints(store, run)).filter((each) => each <= spoke).at(-1) ?? 0;
}
