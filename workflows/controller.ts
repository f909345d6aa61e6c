/**
 * The controller: what stands behind every screen and every terminal command. It joins the workspace, the engine, the
 * runner and the training loop, and owns the jobs. It knows no tensors and draws nothing.
 */
import { UserError } from '../engine/errors.ts';
import type { ChatMessage, ModelInfo, SftReport } from '../engine/protocol.ts';
import { composeBranch, learnedAt, writeBranch } from './controller/branch.ts';
import { checkRunId, composeRun, newRunId } from './controller/compose.ts';
import { openEngineRoom } from './controller/engine-room.ts';
import { evaluateTeam, type EvaluationRequest } from './controller/evaluate.ts';
import { forkTrace, originOf } from './controller/fork.ts';
import { fineTuneModel, type FineTuned, type FineTuning } from './controller/fine-tune.ts';
import type { Host } from './controller/host.ts';
import { openJobs } from './controller/jobs.ts';
import { checkMemory } from './controller/memory.ts';
import { addModel, exportCheckpoint, listModels, removeModel } from './controller/models.ts';
import { askOnce } from './controller/question.ts';
import { scoreRecord } from './controller/score.ts';
import { describeRun, runDetail, runSummaries } from './controller/runs.ts';
import { openTurns } from './controller/turns.ts';
import { loadWorkflow, removeWorkflow, saveWorkflow, withSearch, workflowSummaries } from './controller/workflows.ts';
import type { BranchRequest, ChatSampling, ControllerApi, ControllerEvents, TrainRequest } from './protocol.ts';
import { settleRewards } from './rewards/javascript.ts';
import { webOf } from './run/answering.ts';
import type { Cast } from './schema/cast.ts';
import type { Evaluation, RunConfig } from './schema/run.ts';
import type { Trace } from './schema/trace.ts';
import { loadTask, taskSummaries } from './tasks/index.ts';
import { ownTask } from './tasks/own-task.ts';
import { keepIndex } from './tools/bm25-kept.ts';
import { checkpointStep, listRuns, readRun, writeRun } from './workspace/runs.ts';
import { paths, QUESTIONS } from './workspace/layout.ts';
import { forksOf, isFork, readAnyTrace } from './workspace/forks.ts';
import { readNotes, writeNote } from './workspace/notes.ts';
import { listTraces } from './workspace/trace-index.ts';

/** The engine's calls that answer a person. */
const ANSWER = 'answer';

export type Controller = ControllerApi & {
  /** Resolves when the job of a run has come to rest: done, paused or stopped; rejects with what made it fail. */
  settled(run: string): Promise<void>;
  /** Starts a run that is given whole, under its own id. */
  begin(config: RunConfig): Promise<{ run: string }>;
  inspectModel(name: string): Promise<ModelInfo>;
  evaluate(
    request: EvaluationRequest,
    onProgress: (done: number, total: number) => void,
  ): Promise<{ evaluation: Evaluation; traces: Trace[] }>;
  fineTune(request: FineTuning, onStep: (step: number, report: SftReport) => void): Promise<FineTuned>;
  close(): Promise<void>;
};

export function createController(host: Host, events: ControllerEvents): Controller {
  const { store } = host.places;
  let partner: string | null = null;
  /** The question asked last, and whether it shall end. */
  let asked = { stopped: false };
  const turns = openTurns(host.outside, events.onTurns);
  const outside = (owner: string) => (host.screens === true ? turns.outside(owner) : host.outside);
  const room = openEngineRoom(host, {
    // Text of training is in its traces; screens would drown in it, but it shows that the job lives.
    onToken: ({ record, text }) =>
      /^\d+-(train|eval)-/.test(record) && !isFork(record) ? jobs.running()?.alive() : events.onText({ record, text }),
    onProgress: ({ call, phase, done, total }) => jobs.running()?.working(call, phase, done, total),
    onDeviceLost: ({ reason }) => {
      jobs.running()?.ask('pause');
      events.onNotice({
        level: 'warning',
        text: `The device was lost: ${reason}. Training is paused at its last checkpoint; resume it to go on.`,
      });
    },
  });

  const task = async (name: string, corpus: string | undefined, options: RunConfig['task']['options']) => {
    const loaded = await loadTask({
      name,
      ...(corpus === undefined ? {} : { corpus }),
      options,
      ...(host.readFile ? { read: host.readFile } : {}),
    });
    await keepIndex(store, loaded.corpus);
    return loaded;
  };

  const chosenTask = async ({ task: chosen, workflow }: Pick<TrainRequest, 'task' | 'workflow'>): Promise<string> =>
    chosen ?? ownTask(await loadWorkflow(store, workflow, null, host.readFile));

  const taskOf = (frozen: RunConfig['task']) => task(frozen.path ?? frozen.name, frozen.corpus, frozen.options);

  const jobs = openJobs({ store, room, outside, events, taskOf, letGo: (run) => turns.cancel(run) });

  const runId = async (chosen: string | undefined, workflow: string, cast: string | Cast): Promise<string> =>
    chosen === undefined
      ? newRunId(workflow, typeof cast === 'string' ? cast : cast.name, await listRuns(store))
      : checkRunId(chosen, (await store.stat(paths.config(chosen))) !== null);

  const memoryOf = (config: RunConfig) => checkMemory(config, room);

  /** Before anything is loaded, on the device there is now. Throws where a run may not take that much. */
  const tellMemory = async (config: RunConfig): Promise<void> => {
    const memory = await memoryOf(config);
    if (memory !== null) events.onNotice({ level: 'info', text: memory });
  };

  const compose = async (request: TrainRequest): Promise<RunConfig> => {
    if (request.web === true) webOf(host.outside); // refused before it begins, not at its first page
    const chosen = await chosenTask(request);
    const questions = await task(chosen, request.corpus, request.taskOptions ?? {});
    const workflow = withSearch(await loadWorkflow(store, request.workflow, questions, host.readFile), request.search);
    const device = await room.device();
    const info = await room.inspect(request.model);
    const id = await runId(request.id, workflow.name, request.cast);
    const taskPath = questions.name === chosen ? undefined : chosen;
    return composeRun({
      request,
      workflow,
      task: questions,
      ...(taskPath === undefined ? {} : { taskPath }),
      info,
      device,
      deviceChoice: host.device,
      software: host.software,
      id,
    });
  };

  /** A branch, written with all it begins with. */
  const writtenBranch = async (request: BranchRequest): Promise<RunConfig> => {
    const parent = await readRun(store, request.run);
    const step = await checkpointStep(store, parent.id, request.step);
    const learned = await learnedAt(store, parent, step);
    const trained = Object.values(parent.cast.policies).find((policy) => !policy.frozen)!;
    const { kind, name } = await room.device();
    const config = composeBranch({
      request,
      parent,
      learned,
      info: await room.inspect(trained.model),
      device: { choice: host.device, kind, name },
      software: host.software,
      id: await runId(request.id, parent.workflow.name, request.cast ?? parent.cast),
    });
    await tellMemory(config);
    await writeBranch(store, parent, config);
    return config;
  };

  const newAnswer = (): { stopped: boolean } => (asked = { stopped: false });

  const checkKept = async (run: string): Promise<void> => {
    if (run !== QUESTIONS && (await store.stat(paths.config(run))) === null) await readRun(store, run);
  };

  const damaged = (error: UserError) => events.onNotice({ level: 'warning', text: error.message });

  return {
    device: () => room.device(),
    devices: (measure) => room.devices(measure),
    memory: async () => (await room.engine()).memory(),
    workflows: () => workflowSummaries(store, damaged),
    workflow: (name) => loadWorkflow(store, name, null, host.readFile),
    saveWorkflow: (workflow) => saveWorkflow(store, workflow),
    removeWorkflow: (name) => removeWorkflow(store, name),
    tasks: async () => taskSummaries(),
    models: () => listModels(host, room),
    ...host.downloads(events.onDownload),
    addModel: (name, files) => addModel(host, room, name, files),
    removeModel: (name) => removeModel(host, name),
    chat: (model, messages, record, sampling) => chat(model, messages, record, sampling),
    runs: () => runSummaries(store, (id) => jobs.find(id)?.job, damaged),
    run: (id) => runDetail(store, id, jobs.find(id)?.job),
    removeRun: async (id) => {
      await readRun(store, id);
      await jobs.dismiss(id);
      await store.remove(paths.run(id));
      await store.release(paths.claim(id));
    },
    describeRun: async (id, about) => {
      const title = await describeRun(store, id, about);
      jobs.find(id)?.rename(title);
    },
    plan: async (request) => {
      const config = await compose(request);
      return { config, memory: await memoryOf(config) };
    },
    train: async (request) => {
      const config = await compose(request);
      await tellMemory(config);
      await writeRun(store, config);
      return jobs.begin(config);
    },
    branch: async (request) => jobs.begin(await writtenBranch(request)),
    begin: async (config) => {
      await writeRun(store, config);
      return jobs.begin(config);
    },
    pause: (run) => jobs.pause(run),
    stop: (run) => jobs.stop(run),
    resume: async (run) => {
      await tellMemory(await readRun(store, run));
      await jobs.resume(run);
    },
    jobs: () => jobs.list(),
    traces: async (run, filter) => {
      await checkKept(run);
      return listTraces(store, run, filter);
    },
    trace: async (run, id) => {
      await checkKept(run);
      return readAnyTrace(store, run, id);
    },
    forks: async (run, trace) => {
      await checkKept(run);
      return forksOf(store, run, trace);
    },
    forkTrace: async (request) => {
      const mine = newAnswer();
      const origin = await originOf(store, request.run, request.trace);
      return forkTrace({
        request,
        origin,
        store,
        room,
        outside: outside(ANSWER),
        task: await taskOf(origin.task),
        call: ANSWER,
        cancelled: () => mine.stopped,
      });
    },
    scoreRecord: async (request) => {
      await checkKept(request.run);
      return scoreRecord({ request, origin: await originOf(store, request.run, request.trace), store, room });
    },
    tryRewards: settleRewards,
    notes: async (run) => {
      await checkKept(run);
      return [...(await readNotes(store, run)).list];
    },
    note: async (run, note) => {
      await checkKept(run);
      await writeNote(store, run, note);
    },
    runQuestion: async (request) => {
      const mine = newAnswer();
      // A trained team searches the corpus it was trained with.
      const taskFrom =
        request.run === undefined
          ? { name: await chosenTask(request), options: {} }
          : (await readRun(store, request.run)).task;
      const questions = await taskOf(taskFrom);
      return askOnce({
        request,
        store,
        room,
        outside: outside(ANSWER),
        task: questions,
        taskFrom,
        onText: events.onText,
        call: ANSWER,
        cancelled: () => mine.stopped,
        ...(host.readFile ? { readFile: host.readFile } : {}),
      });
    },
    stopAnswer: async () => {
      asked.stopped = true;
      turns.cancel(ANSWER);
      await (await room.engine()).cancel(ANSWER);
    },
    serviceKey: async (url, name) => host.keys?.keyPlace(url, name) ?? 'nowhere',
    keepServiceKey: async (url, name, key) => {
      if (!host.keys) throw new UserError(`Keys are not kept here; set ${name} in the environment of the terminal`);
      await host.keys.keepKey(url, name, key);
    },
    turns: async () => turns.waiting(),
    answerTurn: async (id, text) => turns.answer(id, text),
    exportPolicy: (run, policy, what, step) =>
      exportCheckpoint(store, room, { run, policy, what, ...(step === undefined ? {} : { step }) }),
    inspectModel: (name) => room.inspect(name),
    evaluate: async (request, onProgress) => {
      const trained =
        request.task === undefined && request.checkpoint !== undefined
          ? (await readRun(store, request.checkpoint.split('@')[0])).task
          : null;
      const questions = trained
        ? await taskOf(trained)
        : await task(await chosenTask(request), request.corpus, request.taskOptions);
      return evaluateTeam(
        {
          request,
          task: questions,
          store,
          room,
          outside: host.outside,
          ...(host.readFile ? { readFile: host.readFile } : {}),
        },
        onProgress,
      );
    },
    fineTune: (request, onStep) => fineTuneModel(room, store, request, onStep),
    settled: (run) => jobs.settled(run),
    close: async () => {
      await jobs.close();
      await room.close();
    },
  };

  /** One conversation partner at a time stays loaded. */
  async function chat(
    model: string,
    messages: ChatMessage[],
    record: string,
    { temperature = 0.7, maxTokens = 256 }: ChatSampling = {},
  ): Promise<{ text: string; tokens: number; ms: number }> {
    if (!(temperature >= 0 && temperature <= 5))
      throw new UserError(`A temperature is from 0 to 5, and this one is ${temperature}; 0.7 is usual`);
    if (!(Number.isInteger(maxTokens) && maxTokens >= 1 && maxTokens <= 32_768))
      throw new UserError(`An answer has 1 to 32,768 tokens, and ${maxTokens} were asked for`);
    const policy = `chat/${model}`;
    const cast = {
      troupe: 'cast' as const,
      version: 1 as const,
      name: 'chat',
      policies: { [model]: { model, method: { kind: 'full' as const }, frozen: true } },
      roles: {},
    };
    if (partner !== null && partner !== policy) await room.unseat([partner]);
    partner = policy;
    await room.seat(
      cast,
      0,
      () => policy,
      () => {},
    );
    const started = performance.now();
    const sampling = {
      temperature,
      topK: 0,
      topP: 0.95,
      minP: 0,
      maxTokens,
      stop: [],
      seed: messages.length,
    };
    const [said] = await (
      await room.engine()
    ).generate(policy, [{ record, prompt: { messages }, sampling, keep: false }], ANSWER);
    return { text: said.text, tokens: said.ids.length, ms: performance.now() - started };
  }
}
