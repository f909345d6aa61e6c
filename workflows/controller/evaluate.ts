/** Greedy evaluation of a team on held-out questions, outside any training. */
import { UserError } from '../../engine/errors.ts';
import { settleRewards } from '../rewards/javascript.ts';
import { checkTested } from '../rewards/passed.ts';
import { webOf, type Outside } from '../run/answering.ts';
import { runBatch } from '../run/runner.ts';
import type { TrainRequest } from '../protocol.ts';
import type { Cast } from '../schema/cast.ts';
import type { Evaluation } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Task } from '../tasks/task.ts';
import { resolveCast } from '../train/cast.ts';
import { evaluationOf } from '../train/summary.ts';
import { checkpointStep, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { methodFor } from './compose.ts';
import type { EngineRoom } from './engine-room.ts';
import { withTeam } from './team.ts';
import { loadWorkflow, withSearch } from './workflows.ts';

export type EvaluationRequest = {
  workflow: string;
  /** The task of the checkpoint's run when absent. */
  task?: string;
  corpus?: string;
  taskOptions: Record<string, string | number | boolean>;
  model: string;
  cast: string | Cast;
  /** "RUN" or "RUN@STEP": weights, cast and workflow of that run. */
  checkpoint?: string;
  search?: TrainRequest['search'];
  web?: boolean;
  limit: number;
  seed: number;
};

type Team = { workflow: Workflow; cast: Cast; checkpoint: { run: string; step: number } | null };

export async function evaluateTeam(
  {
    request,
    task,
    store,
    room,
    outside,
    readFile,
  }: {
    request: EvaluationRequest;
    task: Task;
    store: Store;
    room: EngineRoom;
    outside?: Outside;
    readFile?: (path: string) => Promise<Uint8Array>;
  },
  onProgress: (done: number, total: number) => void,
): Promise<{ evaluation: Evaluation; traces: Trace[] }> {
  const queries = task.heldOut.slice(0, request.limit);
  if (queries.length === 0) throw new UserError(`Task ${task.name} holds out no questions; raise heldOut`);
  const team = await teamOf(request, task, store, room, readFile);
  checkTested(team.workflow, task);
  const total = queries.length * Object.keys(team.workflow.roles).length;
  let done = 0;
  const { workflow, cast, checkpoint: weights } = team;
  const seating = { store, room, cast, seed: request.seed, prefix: 'eval', weights, outside };
  const traces = await withTeam(seating, (generate) =>
    runBatch({
      workflow,
      cast,
      queries,
      task,
      ...(request.web === true ? webOf(outside) : {}),
      phase: 'eval',
      step: 0,
      seed: request.seed,
      generate,
      onRecord: (_trace, record) => record.kind === 'role' && onProgress(++done, total),
    }),
  );
  const scored = await Promise.all(traces.map((trace) => settleRewards(workflow, cast, trace)));
  return { evaluation: evaluationOf(scored, task.metric), traces: scored };
}

async function teamOf(
  request: EvaluationRequest,
  task: Task,
  store: Store,
  room: EngineRoom,
  readFile?: (path: string) => Promise<Uint8Array>,
): Promise<Team> {
  if (request.checkpoint === undefined) {
    const workflow = withSearch(await loadWorkflow(store, request.workflow, task, readFile), request.search);
    const method = methodFor(await room.inspect(request.model));
    return { workflow, cast: resolveCast(workflow, request.cast, request.model, method), checkpoint: null };
  }
  const [run, at] = request.checkpoint.split('@');
  const config = await readRun(store, run);
  const step = await checkpointStep(store, run, at === undefined ? undefined : Number(at));
  return { workflow: config.workflow, cast: config.cast, checkpoint: { run, step } };
}
