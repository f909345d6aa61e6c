/**
 * The training loop: draw questions, run the team on them, settle rewards, update every policy, measure, keep. Everything a
 * step does is a function of the frozen configuration and the last checkpoint, so a run stopped anywhere goes on to the
 * same numbers. Knows the engine only through its contract and the disk only through the store.
 */
import { Cancelled } from '../../engine/errors.ts';
import type { EngineApi } from '../../engine/protocol.ts';
import { settleRewards } from '../rewards/javascript.ts';
import { answering, webOf, type Outside } from '../run/answering.ts';
import { runBatch } from '../run/runner.ts';
import type { Evaluation, RunConfig, StepMetrics } from '../schema/run.ts';
import type { Trace } from '../schema/trace.ts';
import type { Query, Task } from '../tasks/task.ts';
import {
  appendMetrics,
  listCheckpoints,
  policyFiles,
  pruneCheckpoints,
  readCheckpoint,
  truncateMetrics,
  writeCheckpoint,
  type CheckpointState,
} from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';
import { dropTracesAfter, writeTraces } from '../workspace/traces.ts';
import { drawQueries } from './draw.ts';
import { enginePolicy, learn, learners, rolloutCall, type Learned } from './learn.ts';
import { evaluationOf, rolloutMetrics, withConfusion } from './summary.ts';

/** What a person asked for while it ran; looked at between steps. */
export type Wish = 'go' | 'pause' | 'stop';

export type TrainHooks = {
  wish(): Wish;
  onProgress(progress: { step: number; phase: string; done: number; total: number }): void;
  onStep(metrics: StepMetrics): void;
};

export type TrainContext = {
  config: RunConfig;
  task: Task;
  engine: EngineApi;
  store: Store;
  /** Services and people that play frozen roles. */
  outside?: Outside;
  hooks: TrainHooks;
};
export type TrainEnd = { outcome: 'done' | 'paused' | 'stopped'; step: number };

/** Where steps are slow, a checkpoint comes before this much work could be lost; checkpoints change no number. */
const LOSABLE_MS = 30_000;
/** Except where writing one takes long (1.6 GB for 135M parameters): it may cost a twentieth of the time. */
const SAVING_SHARE = 1 / 20;

/** Trains from the last checkpoint, or from the beginning. Models must be loaded and policies created. */
export async function train(context: TrainContext): Promise<TrainEnd> {
  const { config, store, hooks } = context;
  const last = await restore(context);
  let { step, best } = last;
  let earlier = (await truncateMetrics(store, config.id, step)).length > 0;
  if (step === 0) {
    await truncateMetrics(store, config.id, -1);
    earlier = false;
  }
  await dropTracesAfter(store, config.id, earlier ? step : -1);
  if (!earlier && !(await firstEvaluation(context)))
    return { outcome: hooks.wish() === 'stop' ? 'stopped' : 'paused', step: 0 };
  let [savedAt, saveMs] = [performance.now(), 0];
  while (step < config.settings.steps) {
    const metrics = hooks.wish() === 'go' ? await trainStep(context, step) : null;
    if (metrics === null) {
      await save(context, { step, best });
      return { outcome: hooks.wish() === 'stop' ? 'stopped' : 'paused', step };
    }
    step += 1;
    const score = metrics.eval?.score;
    if (score !== undefined && (best === null || score > best.f1)) best = { step, f1: score };
    const due =
      step % config.settings.checkpointEvery === 0 ||
      step === config.settings.steps ||
      best?.step === step ||
      performance.now() - savedAt > Math.max(LOSABLE_MS, saveMs / SAVING_SHARE);
    // The line before the checkpoint: a kill between them repeats the step, the other way round it would lose its line.
    await appendMetrics(store, config.id, metrics);
    if (due) {
      const began = performance.now();
      await save(context, { step, best });
      savedAt = performance.now();
      saveMs = savedAt - began;
    }
    hooks.onStep(metrics);
  }
  return { outcome: 'done', step };
}

function ifCancelled(error: unknown): null {
  if (error instanceof Cancelled) return null;
  throw error;
}

type Restored = { step: number; best: CheckpointState['best'] };

async function restore({ config, engine, store }: TrainContext): Promise<Restored> {
  const steps = await listCheckpoints(store, config.id);
  const step = steps.at(-1);
  if (step === undefined) return { step: 0, best: null };
  const state = await readCheckpoint(store, config.id, step);
  for (const policy of Object.keys(config.cast.policies)) {
    const files = await policyFiles(store, config, step, policy);
    if (Object.keys(files).length > 0) await engine.importPolicy(enginePolicy(config.id, policy), files);
  }
  return { step, best: state.best };
}

async function save({ config, engine, store }: TrainContext, state: Restored): Promise<void> {
  const policies = learners(config);
  await writeCheckpoint(store, config.id, { ...state, policies }, (policy) =>
    engine.exportPolicy(enginePolicy(config.id, policy), 'checkpoint'),
  );
  const { keepCheckpoints, checkpointEvery } = config.settings;
  const kept = [state.step, state.best?.step, config.from?.step];
  await pruneCheckpoints(
    store,
    config.id,
    (step) => kept.includes(step) || (keepCheckpoints === 'all' && step % checkpointEvery === 0),
  );
}

/** False when a pause came first: nothing is kept of it, and a resume begins with it again. */
async function firstEvaluation(context: TrainContext): Promise<boolean> {
  const started = performance.now();
  const evaluated = await evaluate(context, 0).catch(ifCancelled);
  if (evaluated === null) return false;
  const { evaluation, traces } = evaluated;
  const metrics: StepMetrics = {
    step: 0,
    rollout: {},
    roles: {},
    policies: {},
    eval: evaluation,
    notes: [],
    timing: { evalMs: performance.now() - started, at: Date.now() },
  };
  await writeTraces(context.store, context.config.id, 0, traces);
  await appendMetrics(context.store, context.config.id, metrics);
  context.hooks.onStep(metrics);
  return true;
}

/**
 * One update; `step` counts the updates already made. Null when a pause came during the rollout: what was sampled is
 * forgotten, and the same questions give the same samples again on resume.
 */
async function trainStep(context: TrainContext, step: number): Promise<StepMetrics | null> {
  const { config, task } = context;
  const started = performance.now();
  const queries = drawQueries(task.train, config.settings.seed, step, config.settings.queries);
  const traces = await roll(context, queries, 'train', step + 1).catch(ifCancelled);
  if (traces === null || context.hooks.wish() !== 'go') {
    for (const policy of learners(config)) await context.engine.forget(enginePolicy(config.id, policy));
    return null;
  }
  const rolled = performance.now();
  const reports = await learn(context, traces, step);
  const updated = performance.now();
  const { peakBytes } = await context.engine.memory();
  const due = (step + 1) % config.settings.evalEvery === 0 || step + 1 === config.settings.steps;
  const evaluated = due ? await evaluate(context, step + 1) : null;
  const ended = performance.now();
  await writeTraces(context.store, config.id, step + 1, [...traces, ...(evaluated?.traces ?? [])]);
  const tokens = Object.values(reports).reduce((sum, report) => sum + report.trainedTokens, 0);
  const stepMs = updated - started;
  return {
    step: step + 1,
    rollout: rolloutMetrics(traces, task.metric),
    roles: withReports(withConfusion(traces, config.workflow), reports),
    policies: Object.fromEntries(Object.entries(reports).map(([policy, report]) => [policy, finite(report.metrics)])),
    ...(evaluated ? { eval: evaluated.evaluation } : {}),
    notes: Object.values(reports).flatMap((report) => [...report.notes]),
    timing: {
      rolloutMs: rolled - started,
      updateMs: updated - rolled,
      evalMs: ended - updated,
      stepMs,
      tokensPerSecond: (tokens / stepMs) * 1_000,
      peakBytes,
      at: Date.now(),
    },
  };
}

async function roll(
  context: TrainContext,
  queries: readonly Query[],
  phase: 'train' | 'eval',
  step: number,
): Promise<Trace[]> {
  const { config, task, engine, outside, hooks } = context;
  const { samples = 1, branch = false } = phase === 'train' ? config.settings : {};
  const total = queries.length * samples * Object.keys(config.workflow.roles).length;
  let done = 0;
  // An evaluation after an update is part of its step, and is finished.
  const breakable = phase === 'train' || step === 0;
  const call = breakable ? rolloutCall(config.id) : `${config.id}/evaluation`;
  const tell = () =>
    hooks.onProgress({ step, phase: phase === 'train' ? 'rollout' : 'evaluation', done, total: Math.max(done, total) });
  tell();
  const settle = (trace: Trace): Promise<Trace> => settleRewards(config.workflow, config.cast, trace);
  const traces = await runBatch({
    workflow: config.workflow,
    cast: config.cast,
    queries,
    task,
    phase,
    step,
    seed: config.settings.seed,
    samples,
    branch,
    settle,
    ...(config.web === true ? webOf(outside) : {}),
    generate: answering(
      config.cast,
      (policy, requests) => engine.generate(enginePolicy(config.id, policy), requests, call),
      outside,
    ),
    onRecord: (_trace, record) => {
      if (record.kind !== 'role') return;
      done += 1;
      tell();
    },
    cancelled: () => breakable && hooks.wish() !== 'go',
  });
  return branch === 'best' ? traces : Promise.all(traces.map(settle));
}

async function evaluate(context: TrainContext, step: number): Promise<{ evaluation: Evaluation; traces: Trace[] }> {
  const queries = context.task.heldOut.slice(0, context.config.settings.evalLimit);
  const traces = await roll(context, queries, 'eval', step);
  return { evaluation: evaluationOf(traces, context.task.metric), traces };
}

function withReports(
  roles: Record<string, Record<string, number>>,
  reports: Record<string, Learned>,
): Record<string, Record<string, number>> {
  const out = { ...roles };
  for (const report of Object.values(reports))
    for (const [role, metrics] of Object.entries(report.roles)) out[role] = { ...finite(metrics), ...out[role] };
  return out;
}

/** JSON has no NaN: a number that is none (the spread of a single record) is left out. */
function finite(metrics: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => Number.isFinite(value)));
}
