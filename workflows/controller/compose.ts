/**
 * From what a person chose to a frozen run: the workflow with the task's preset, the cast, every setting filled in. All
 * that is checked here is refused before anything is loaded.
 */
import { checkPpo, checkSft, ppoSettings, sftSettings } from '../../engine/learn/settings.ts';
import { UserError } from '../../engine/errors.ts';
import type { DeviceInfo, ModelInfo, PpoSettings, SftSettings } from '../../engine/protocol.ts';
import type { TrainRequest } from '../protocol.ts';
import { checkTested } from '../rewards/passed.ts';
import type { Method } from '../schema/cast.ts';
import { lint } from '../schema/lint.ts';
import { runSchema, tuneSchema, type RunConfig, type TuneSettings } from '../schema/run.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Task } from '../tasks/task.ts';
import { resolveCast, withPrecision } from '../train/cast.ts';

/** Below this a model is trained whole: an adapter would save nothing that matters. */
const SMALL = 30e6;

export function methodFor(info: ModelInfo): Method {
  return info.parameters < SMALL
    ? { kind: 'full' }
    : {
        kind: 'lora',
        rank: 16,
        alpha: 32,
        targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
      };
}

export type Composed = {
  request: TrainRequest;
  workflow: Workflow;
  task: Task;
  taskPath?: string;
  info: ModelInfo;
  device: DeviceInfo;
  deviceChoice: string;
  software: Readonly<Record<string, string>>;
  id: string;
};

export function composeRun({
  request,
  workflow,
  task,
  taskPath,
  info,
  device,
  deviceChoice,
  software,
  id,
}: Composed): RunConfig {
  if (task.train.length === 0)
    throw new UserError(
      `Task ${task.name} has no training questions; give a file with more questions or a smaller held-out share`,
    );
  checkTested(workflow, task);
  const wrong = lint(workflow).find(({ level }) => level === 'error');
  if (wrong) throw new UserError(wrong.message);
  const method = request.method ?? methodFor(info);
  const cast = withPrecision(resolveCast(workflow, request.cast, request.model, method), request);
  if (Object.values(cast.policies).every((policy) => policy.frozen))
    throw new UserError(`Every policy of the cast ${cast.name} is frozen, so nothing would learn; let one train`);
  const small = info.parameters < 3e6;
  const steps = request.steps ?? (small ? 30 : 10);
  const settings = {
    steps,
    queries: request.queries ?? (small ? 64 : 32),
    ...(request.samples === undefined ? {} : { samples: request.samples }),
    ...(request.branch === undefined ? {} : { branch: request.branch }),
    evalEvery: request.evalEvery ?? 5,
    evalLimit: Math.min(request.evalLimit ?? 100, Math.max(1, task.heldOut.length)),
    checkpointEvery: request.checkpointEvery ?? 5,
    ...(request.keepCheckpoints === undefined ? {} : { keepCheckpoints: request.keepCheckpoints }),
    seed: request.seed,
    ...(request.memoryGiB === undefined ? {} : { memoryGiB: request.memoryGiB }),
    ...learningOf(request, { parameters: info.parameters, method: method.kind, totalSteps: steps }),
  };
  const parsed = runSchema.safeParse({
    troupe: 'run',
    version: 1,
    id,
    created: new Date().toISOString(),
    title: request.title ?? `${workflow.title} on ${task.title}, ${cast.name}`,
    workflow,
    cast,
    task: {
      name: task.name,
      ...(taskPath === undefined ? {} : { path: taskPath }),
      ...(request.corpus === undefined ? {} : { corpus: request.corpus }),
      options: request.taskOptions ?? {},
    },
    settings,
    ...(request.web === true ? { web: true } : {}),
    device: { choice: deviceChoice, kind: device.kind, name: device.name },
    software,
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UserError(`Cannot train with ${issue.path.join('.')}: ${issue.message}`);
}

function learningOf(
  { ppo, sft }: TrainRequest,
  trained: Parameters<typeof ppoSettings>[0],
): Pick<RunConfig['settings'], 'sft'> & { ppo: object } {
  if (sft === undefined) return { ppo: withOverrides(ppoSettings(trained), ppo ?? {}) };
  return { ppo: {}, sft: tuneSettings(sftSettings(trained), sft) };
}

/** A round's settings, from what a person set over the defaults. */
export function tuneSettings(defaults: SftSettings, overrides: Readonly<Record<string, unknown>>): TuneSettings {
  const known = Object.keys(tuneSchema.shape);
  const unknown = Object.keys(overrides).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new UserError(`There is no setting ${unknown} of fine-tuning; there are ${known.join(', ')}`);
  const parsed = tuneSchema.safeParse({ ...defaults, ...overrides });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue.path.join('.');
    throw new UserError(
      `The setting ${place} cannot be ${JSON.stringify(overrides[place])}: ${issue.message.replace(/^Invalid input: /, '')}`,
    );
  }
  checkSft(parsed.data);
  return parsed.data;
}

/** Puts what a person set over the defaults; `kl.coef` reaches into a group. */
export function withOverrides(defaults: PpoSettings, overrides: Readonly<Record<string, unknown>>): PpoSettings {
  const merged: Record<string, unknown> = { ...defaults, kl: { ...defaults.kl } };
  for (const [key, value] of Object.entries(overrides)) {
    const [group, name] = key.split('.');
    const target = name === undefined ? merged : (merged[group] as Record<string, unknown> | undefined);
    const field = name ?? group;
    if (typeof target !== 'object' || !Object.hasOwn(target, field))
      throw new UserError(`There is no setting ${key}; there are ${Object.keys(defaults).join(', ')}`);
    target[field] = value;
  }
  checkPpo(merged as unknown as PpoSettings);
  return merged as unknown as PpoSettings;
}

/** A chosen name: it becomes a folder, and a run is never overwritten. */
export function checkRunId(id: string, taken: boolean): string {
  if (!/^[\w][\w.-]{0,239}$/.test(id))
    throw new UserError(`Not a name for a run: ${id.slice(0, 80)}; use letters, digits, _ - and .`);
  if (taken) throw new UserError(`There is a run of this name already: ${id}; choose another or remove it`);
  return id;
}

/** "qd-answer-shared-20261121-142501": sorts by time within a workflow and says what it is. */
export function newRunId(workflow: string, cast: string, taken: readonly string[], now = new Date()): string {
  const stamp = now.toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
  const base = `${workflow}-${cast.replace(/[^\w-]+/g, '-')}-${stamp}`;
  for (let i = 1; ; i++) {
    const id = i === 1 ? base : `${base}-${i}`;
    if (!taken.includes(id)) return id;
  }
}
