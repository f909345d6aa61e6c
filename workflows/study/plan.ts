/**
 * From a study to its cells: one training request for each arm and seed. All that can be wrong with an arm is found here,
 * before the first cell takes an hour. Seeds come first, so that a study that is stopped has compared all arms on some.
 */
import { checkPpo, ppoSettings } from '../../engine/learn/settings.ts';
import { UserError } from '../../engine/errors.ts';
import type { ModelInfo } from '../../engine/protocol.ts';
import { methodFor, withOverrides } from '../controller/compose.ts';
import type { TrainRequest } from '../protocol.ts';
import type { Cast, Method } from '../schema/cast.ts';
import type { Workflow } from '../schema/workflow.ts';
import { groupCast, resolveCast } from '../train/cast.ts';
import type { Study } from './schema.ts';

/** Where arms can differ. */
export const axes = ['workflow', 'model', 'cast', 'estimator'] as const;
export type Axis = (typeof axes)[number];
/** What an arm is, by axis; shown to people. */
export type Arm = Readonly<Record<Axis, string>>;

export type Cell = {
  /** The run's id. */
  readonly id: string;
  readonly arm: Arm;
  readonly seed: number;
  readonly request: TrainRequest;
};

export type PlanContext = {
  workflow(name: string): Promise<Workflow>;
  inspect(model: string): Promise<ModelInfo>;
  /** A cast from a file. */
  cast(path: string): Promise<Cast>;
};

const maxCells = 10_000;

/** Throws a UserError for an arm that cannot be trained, or two that are the same. */
export async function planStudy(study: Study, context: PlanContext): Promise<Cell[]> {
  const count =
    study.seeds.length * study.workflows.length * study.models.length * study.casts.length * study.estimators.length;
  if (count > maxCells)
    throw new UserError(`The study has ${count} cells, and at most ${maxCells} are run; make it smaller`);
  const arms: { arm: Arm; request: Omit<TrainRequest, 'seed'> }[] = [];
  for (const workflow of study.workflows)
    for (const model of study.models)
      for (const cast of await castsOf(study, workflow, model, context))
        for (const learning of study.estimators) arms.push(armOf(study, workflow, model, cast, learning));
  await checkSettings(study, arms, context);
  const cells = study.seeds.flatMap((seed) =>
    arms.map(({ arm, request }) => ({ id: idOf(study.name, arm, seed), arm, seed, request: { ...request, seed } })),
  );
  const twice = cells.find(({ id }, i) => cells.findIndex((other) => other.id === id) < i);
  if (twice)
    throw new UserError(
      `Two cells of the study are the same: ${twice.id}; give seeds, casts and estimators names of their own`,
    );
  return cells;
}

type Learning = Study['estimators'][number];

function armOf(study: Study, workflow: string, model: string, cast: Cast, learning: Learning) {
  const { task, corpus, method, search, steps, queries, evalEvery, evalLimit, checkpointEvery } = study;
  const own = typeof learning === 'string' ? { name: learning, set: { estimator: learning } } : learning;
  const request: Omit<TrainRequest, 'seed'> = {
    workflow,
    task,
    model,
    cast,
    taskOptions: study.taskOptions,
    ppo: { ...study.set, ...own.set },
    ...present({ corpus, method, search, steps, queries, evalEvery, evalLimit, checkpointEvery }),
    ...(typeof learning === 'string' ? {} : present({ samples: learning.samples, branch: learning.branch })),
  };
  const arm: Arm = { workflow: shortName(workflow), model: shortName(model), cast: cast.name, estimator: own.name };
  return { arm, request };
}

/** Without what is undefined. */
function present<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

async function castsOf(study: Study, name: string, model: string, context: PlanContext): Promise<Cast[]> {
  const workflow = await context.workflow(name);
  const method: Method = study.method ?? methodFor(await context.inspect(model));
  return Promise.all(
    study.casts.map(async (cast) => {
      if (typeof cast === 'string')
        return resolveCast(workflow, cast.endsWith('.json') ? await context.cast(cast) : cast, model, method);
      return 'groups' in cast ? groupCast(workflow, cast, model, method) : resolveCast(workflow, cast, model, method);
    }),
  );
}

async function checkSettings(
  study: Study,
  arms: readonly { request: Omit<TrainRequest, 'seed'> }[],
  context: PlanContext,
): Promise<void> {
  for (const { request } of arms) {
    const { parameters } = await context.inspect(request.model);
    const method = study.method?.kind ?? 'full';
    checkPpo(withOverrides(ppoSettings({ parameters, method, totalSteps: study.steps ?? 1 }), request.ppo ?? {}));
  }
}

/** "models/qwen/model.gguf" is "model". */
function shortName(named: string): string {
  return named
    .split(/[\\/]/)
    .filter(Boolean)
    .pop()!
    .replace(/\.(troupe\.json|json|gguf)$/u, '');
}

/** Every axis is in it, so that a study may grow along any of them and keep its cells. */
function idOf(study: string, arm: Arm, seed: number): string {
  const parts = axes.map((axis) => arm[axis].replace(/[^\w.-]+/gu, '-'));
  return [study, ...parts, `s${seed}`].join('--');
}
