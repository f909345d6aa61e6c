/**
 * The controller: what stands behind every screen and every terminal command. It joins the workspace, the engine, the
 * runner and the training loop, and owns the jobs. It knows no tensors and draws nothing.
 */
import { UserError } from '../engine/errors.ts';
import type { ChatMessage, ModelInfo, SftReport } from '../engine/protocol.ts';
import { checkRunId, composeRun, newRunId } from './controller/compose.ts';
import { openEngineRoom } from './controller/engine-room.ts';
import { evaluateTeam, type EvaluationRequest } from './controller/evaluate.ts';
import { forkTrace } from './controller/fork.ts';
import { fineTuneModel, type FineTuned, type FineTuning } from './controller/fine-tune.ts';
import type { Host } from './controller/host.ts';
import { TrainingJob } from './controller/job.ts';
import { addModel, exportCheckpoint, listModels, removeModel } from './controller/models.ts';
import { askOnce } from './controller/question.ts';
import { runDetail, runSummaries } from './controller/runs.ts';
import { openTurns } from './controller/turns.ts';
import { loadWorkflow, saveWorkflow, withSearch, workflowSummaries } from './controller/workflows.ts';
import type { ControllerApi, ControllerEvents, TrainRequest } from './protocol.ts';
import { settleRewards } from './rewards/javascript.ts';
import type { Evaluation, RunConfig } from './schema/run.ts';
import type { Trace } from './schema/trace.ts';
import { loadTask, taskSummaries } from './tasks/index.ts';
import { keepIndex } from './tools/bm25-kept.ts';
import { enginePolicy, rolloutCall } from './train/learn.ts';
import { train } from './train/train.ts';
import { listRuns, readRun, writeRun } from './workspace/runs.ts';
import { paths } from './workspace/layout.ts';
import { forksOf, isFork, readAnyTrace } from './workspace/forks.ts';
import { listTraces } from './workspace/traces.ts';

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
  const jobs = new Map<string, { job: TrainingJob; settled: Promise<void> }>();
  const turns = openTurns(host.outside, events.onTurns);
  const outside = (owner: string) => (host.screens === true ? turns.outside(owner) : host.outside);
  const room = openEngineRoom(host, {
    // Text of training is in its traces; screens would drown in it, but it shows that the job lives.
    onToken: ({ record, text }) =>
      /^\d+-(train|eval)-/.test(record) && !isFork(record) ? running()?.job.alive() : events.onText({ record, text }),
    onProgress: ({ call, phase, done, total }) => running()?.job.working(call, phase, done, total),
    onDeviceLost: ({ reason }) => {
      for (const { job } of jobs.values()) job.ask('pause');
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

  const taskOf = (frozen: RunConfig['task']) => task(frozen.path ?? frozen.name, frozen.corpus, frozen.options);

  const running = () =>
    [...jobs.values()].find(({ job }) => ['starting', 'running', 'pausing', 'stopping'].includes(job.job.state));

  const refuseIfBusy = () => {
    const busy = running();
    if (busy) throw new UserError(`Another run is training: ${busy.job.config.id}; pause or stop it first`);
  };

  const claim = async (run: string): Promise<void> => {
    if (!(await store.claim(paths.claim(run))))
      throw new UserError(`Run ${run} is being trained by another Troupe; pause it there first`);
  };

  const begin = async (config: RunConfig): Promise<{ run: string }> => {
    refuseIfBusy();
    await claim(config.id);
    // Another `begin` may have come in between; its run keeps its claim, this one's is given back.
    const other = running();
    if (other && other.job.config.id !== config.id) await store.release(paths.claim(config.id));
    refuseIfBusy();
    const job = new TrainingJob(config, store, events);
    const settled = work(
      job,
      [...jobs.values()].map((each) => each.settled),
    );
    jobs.set(config.id, { job, settled });
    return { run: config.id };
  };

  /** Earlier jobs first: a paused one may still be giving its policies back. */
  const work = async (job: TrainingJob, earlier: readonly Promise<void>[]): Promise<void> => {
    const { config } = job;
    const policies = Object.keys(config.cast.policies).map((policy) => enginePolicy(config.id, policy));
    try {
      await job.become('starting');
      await Promise.all(earlier);
      const questions = await taskOf(config.task);
      await room.seat(
        config.cast,
        config.settings.seed,
        (policy) => enginePolicy(config.id, policy),
        (phase) => job.preparing(phase, 0, 1),
      );
      await job.become('running');
      const end = await train({
        config,
        task: questions,
        engine: await room.engine(),
        store,
        outside: outside(config.id),
        hooks: job.hooks(),
      });
      await job.become(end.outcome);
    } catch (error) {
      await failed(job, error);
    } finally {
      await room.unseat(policies).catch(() => {});
      if (jobs.get(config.id)?.job === job) await store.release(paths.claim(config.id));
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

  const compose = async (request: TrainRequest): Promise<RunConfig> => {
    const questions = await task(request.task, request.corpus, request.taskOptions ?? {});
    const workflow = withSearch(await loadWorkflow(store, request.workflow, questions, host.readFile), request.search);
    const device = await room.device();
    const info = await room.inspect(request.model);
    const castName = typeof request.cast === 'string' ? request.cast : request.cast.name;
    const id =
      request.id === undefined
        ? newRunId(workflow.name, castName, await listRuns(store))
        : checkRunId(request.id, (await store.stat(paths.config(request.id))) !== null);
    const taskPath = questions.name === request.task ? undefined : request.task;
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

  /** What is being sampled is set aside anyway; what is being learned is finished. */
  const endRollout = async (run: string): Promise<void> => {
    if (running()?.job.config.id !== run) return;
    turns.cancel(run);
    await (await room.engine()).cancel(rolloutCall(run));
  };

  const newAnswer = (): { stopped: boolean } => (asked = { stopped: false });

  const damaged = (error: UserError) => events.onNotice({ level: 'warning', text: error.message });

  const jobOf = (run: string): TrainingJob => {
    const found = jobs.get(run);
    if (!found) throw new UserError(`Run ${run} is not training`);
    return found.job;
  };

  return {
    device: () => room.device(),
    devices: (measure) => room.devices(measure),
    memory: async () => (await room.engine()).memory(),
    workflows: () => workflowSummaries(store, damaged),
    workflow: (name) => loadWorkflow(store, name, null, host.readFile),
    saveWorkflow: (workflow) => saveWorkflow(store, workflow),
    tasks: async () => taskSummaries(),
    models: () => listModels(host, room),
    addModel: (name, files) => addModel(host, room, name, files),
    removeModel: (name) => removeModel(host, name),
    chat: (model, messages, record) => chat(model, messages, record),
    runs: () => runSummaries(store, (id) => jobs.get(id)?.job.job, damaged),
    run: (id) => runDetail(store, id, jobs.get(id)?.job.job),
    removeRun: async (id) => {
      await readRun(store, id);
      if (running()?.job.config.id === id) throw new UserError(`Run ${id} is training; stop it first`);
      await claim(id);
      jobs.delete(id);
      await store.remove(paths.run(id));
      await store.release(paths.claim(id));
    },
    train: async (request) => {
      refuseIfBusy();
      const config = await compose(request);
      refuseIfBusy();
      await writeRun(store, config);
      return begin(config);
    },
    begin: async (config) => {
      refuseIfBusy();
      await writeRun(store, config);
      return begin(config);
    },
    pause: async (run) => {
      jobOf(run).ask('pause');
      await endRollout(run);
    },
    stop: async (run) => {
      const job = jobs.get(run)?.job;
      if (job && running()?.job === job) {
        job.ask('stop');
        return endRollout(run);
      }
      await new TrainingJob(await readRun(store, run), store, events).become('stopped');
    },
    resume: async (run) => {
      await begin(await readRun(store, run));
    },
    jobs: async () => [...jobs.values()].map(({ job }) => job.job),
    traces: async (run, filter) => {
      await readRun(store, run);
      return listTraces(store, run, filter);
    },
    trace: async (run, id) => {
      await readRun(store, run);
      return readAnyTrace(store, run, id);
    },
    forks: async (run, trace) => {
      await readRun(store, run);
      return forksOf(store, run, trace);
    },
    forkTrace: async ({ run, ...request }) => {
      const mine = newAnswer();
      const config = await readRun(store, run);
      return forkTrace({
        request,
        config,
        store,
        room,
        outside: outside(ANSWER),
        task: await taskOf(config.task),
        call: ANSWER,
        cancelled: () => mine.stopped,
      });
    },
    tryRewards: settleRewards,
    runQuestion: async (request) => {
      const mine = newAnswer();
      // A trained team searches the corpus it was trained with.
      const from = request.run === undefined ? null : (await readRun(store, request.run)).task;
      const questions = from ? await taskOf(from) : await task(request.task, undefined, {});
      return askOnce({
        request,
        store,
        room,
        outside: outside(ANSWER),
        task: questions,
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
    exportPolicy: (run, policy, what) => exportCheckpoint(store, room, run, policy, what),
    inspectModel: (name) => room.inspect(name),
    evaluate: async (request, onProgress) => {
      const trained =
        request.task === undefined && request.checkpoint !== undefined
          ? (await readRun(store, request.checkpoint.split('@')[0])).task
          : null;
      const questions = trained
        ? await taskOf(trained)
        : await task(request.task ?? 'village-qa', request.corpus, request.taskOptions);
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
    settled: async (run) => {
      const found = jobs.get(run);
      await found?.settled;
      if (found?.job.failure !== undefined) throw found.job.failure;
    },
    close: async () => {
      const last = running()?.job;
      last?.ask('pause');
      if (last) await endRollout(last.config.id);
      await Promise.all([...jobs.values()].map(({ settled }) => settled));
      await room.close();
    },
  };

  /** One conversation partner at a time stays loaded. */
  async function chat(
    model: string,
    messages: ChatMessage[],
    record: string,
  ): Promise<{ text: string; tokens: number; ms: number }> {
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
      temperature: 0.7,
      topK: 0,
      topP: 0.95,
      minP: 0,
      maxTokens: 256,
      stop: [],
      seed: messages.length,
    };
    const [said] = await (
      await room.engine()
    ).generate(policy, [{ record, prompt: { messages }, sampling, keep: false }], ANSWER);
    return { text: said.text, tokens: said.ids.length, ms: performance.now() - started };
  }
}
