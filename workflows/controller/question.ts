/** One question to one team: a run of a single query, kept with what it was asked with. */
import { UserError } from '../../engine/errors.ts';
import type { ControllerApi, TextEvent } from '../protocol.ts';
import { settleRewards } from '../rewards/javascript.ts';
import { webOf, type Outside } from '../run/answering.ts';
import { pinnedSchema, type Pinned } from '../run/pinned.ts';
import { recordKey, runBatch } from '../run/runner.ts';
import type { RunConfig } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import type { Task } from '../tasks/task.ts';
import { resolveCast } from '../train/cast.ts';
import { keepQuestion } from '../workspace/questions.ts';
import { checkpointStep, readRun } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { methodFor } from './compose.ts';
import type { EngineRoom } from './engine-room.ts';
import { withTeam } from './team.ts';
import { loadWorkflow } from './workflows.ts';

export type Asking = {
  request: Parameters<ControllerApi['runQuestion']>[0];
  store: Store;
  room: EngineRoom;
  task: Task;
  /** How that task is loaded again. */
  taskFrom: RunConfig['task'];
  outside?: Outside;
  readFile?: (path: string) => Promise<Uint8Array>;
  /** Told of every record that is asked and done. */
  onText: (event: TextEvent) => void;
  /** Name of the engine's calls, by which they can be cancelled. */
  call: string;
  cancelled: () => boolean;
};

export async function askOnce({
  request,
  store,
  room,
  task,
  taskFrom,
  outside,
  readFile,
  onText,
  call,
  cancelled,
}: Asking): Promise<Trace> {
  if (request.question.trim() === '') throw new UserError('The question is empty; type one');
  const from = request.run === undefined ? null : await readRun(store, request.run);
  // A team that is on the screen runs as it is drawn there; one that is named, as it was trained.
  const named = typeof request.workflow === 'string' && from !== null;
  const workflow = named ? from.workflow : await loadWorkflow(store, request.workflow, task, readFile);
  const pinned = pinnedOf(request.pinned);
  const cast =
    from?.cast ?? resolveCast(workflow, request.cast, request.model, methodFor(await room.inspect(request.model)));
  const weights = from ? { run: from.id, step: await checkpointStep(store, from.id, request.step) } : null;
  const known = [...task.train, ...task.heldOut].find((query) => query.question.trim() === request.question.trim());
  const query = known ?? { id: 'question', question: request.question, answers: [] };
  const seating = { store, room, cast, seed: request.seed, prefix: 'question', weights, outside, call };
  const [trace] = await withTeam(seating, (generate) =>
    runBatch({
      workflow,
      cast,
      queries: [query],
      task,
      ...(request.web === true ? webOf(outside) : {}),
      phase: 'run',
      step: 0,
      seed: request.seed,
      greedy: true,
      pinned,
      generate: (policy, requests) => {
        for (const { record } of requests) onText({ record, text: '', state: 'asked' });
        return generate(policy, requests);
      },
      onRecord: (trace, record) => onText({ record: recordKey(trace, record), text: '', state: 'done' }),
      cancelled,
    }),
  );
  const { seed, web = false } = request;
  const asked = { workflow, cast, task: taskFrom, seed, web, pinned, weights };
  return keepQuestion(store, asked, await settleRewards(workflow, cast, trace));
}

function pinnedOf(given: unknown): Pinned | undefined {
  if (given === undefined) return undefined;
  const checked = pinnedSchema.safeParse(given);
  if (!checked.success) throw new UserError(`Not results to pin: ${checked.error.issues[0].message}`);
  return checked.data;
}
