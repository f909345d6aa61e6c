/** Runs as screens list and open them: the frozen configuration, the state of the job or what is left of it on disk. */
import { UserError } from '../../engine/errors.ts';
import type { CheckpointSummary, Job, JobState, RunDetail, RunSummary } from '../protocol.ts';
import {
  checkpointBytes,
  listCheckpoints,
  listRuns,
  readMetrics,
  readRun,
  readState,
  writeRun,
} from '../workspace/runs.ts';
import { runSchema, type RunConfig, type StepMetrics } from '../schema/run.ts';
import type { Store } from '../workspace/store.ts';

/** A run that was at work when its process ended is paused: resume takes it up from the last checkpoint. */
async function stateOf(store: Store, id: string, job: Job | undefined): Promise<JobState> {
  if (job) return job.state;
  const state = (await readState(store, id))?.state ?? 'paused';
  return ['starting', 'running', 'pausing', 'stopping'].includes(state) ? 'paused' : state;
}

export async function runDetail(store: Store, id: string, job: Job | undefined): Promise<RunDetail> {
  const [known, steps] = [await progressOf(store, id, job), await listCheckpoints(store, id)];
  const checkpoints = steps.map(async (step): Promise<CheckpointSummary> => {
    const tested = known.metrics.find((line) => line.step === step)?.eval;
    return { step, bytes: await checkpointBytes(store, id, step), ...(tested ? { eval: tested } : {}) };
  });
  return { ...known, checkpoints: await Promise.all(checkpoints) };
}

async function progressOf(store: Store, id: string, job: Job | undefined): Promise<Omit<RunDetail, 'checkpoints'>> {
  const config = await readRun(store, id);
  return { config, state: await stateOf(store, id, job), metrics: await readMetrics(store, id) };
}

/** Newest first. A run that cannot be read is left out, and said so, so that it does not hide the others. */
export async function runSummaries(
  store: Store,
  jobOf: (id: string) => Job | undefined,
  damaged: (error: UserError) => void,
): Promise<RunSummary[]> {
  const found = await Promise.all(
    (await listRuns(store)).map((id) =>
      runSummary(store, id, jobOf(id)).catch((error: unknown) => skip(error, damaged)),
    ),
  );
  return found.filter((run) => run !== null).sort((a, b) => b.created.localeCompare(a.created));
}

export function skip(error: unknown, damaged: (error: UserError) => void): null {
  if (!(error instanceof UserError)) throw error;
  damaged(error);
  return null;
}

const TITLE_MOST = 200;

/** Writes another name and note into a run's file; returns the name as it stands there. */
export async function describeRun(
  store: Store,
  id: string,
  { title: given, note }: { title: string; note: string },
): Promise<string> {
  const title = given.trim();
  if (title === '' || title.length > TITLE_MOST)
    throw new UserError(`Not a name for a run: ${title.slice(0, 40)}; use 1 to ${TITLE_MOST} letters`);
  const { note: _, ...config } = await readRun(store, id);
  const described = { ...config, title, ...(note.trim() === '' ? {} : { note: note.trim() }) };
  const checked = runSchema.safeParse(described);
  if (!checked.success) throw new UserError(`The note is too long: ${note.length} letters; shorten it`);
  await writeRun(store, described);
  return title;
}

function trainedOf({ cast, settings }: RunConfig): RunSummary['trained'] {
  const policies = Object.values(cast.policies).filter(({ frozen }) => !frozen);
  return { method: policies[0]?.method.kind ?? 'full', policies: policies.length, queries: settings.queries };
}

/** Steps a branch inherited were measured elsewhere. */
function measuredOf({ device, from }: RunConfig, metrics: readonly StepMetrics[]): Pick<RunSummary, 'measured'> {
  const last = metrics.findLast(({ step, timing }) => step > (from?.step ?? 0) && timing.peakBytes !== undefined);
  if (last === undefined) return {};
  return { measured: { device: device.name, peakBytes: last.timing.peakBytes, stepMs: last.timing.stepMs } };
}

export async function runSummary(store: Store, id: string, job: Job | undefined): Promise<RunSummary> {
  const { config, state, metrics } = await progressOf(store, id, job);
  const evaluations = metrics.flatMap((each) => (each.eval ? [each.eval] : []));
  return {
    id,
    title: config.title,
    created: config.created,
    workflow: config.workflow.name,
    cast: config.cast.name,
    task: config.task.name,
    model: [...new Set(Object.values(config.cast.policies).map((policy) => policy.model))].join(', '),
    step: metrics.at(-1)?.step ?? 0,
    steps: config.settings.steps,
    state,
    before: metrics[0]?.eval ?? null,
    latest: evaluations.at(-1) ?? null,
    seed: config.settings.seed,
    ...(config.note === undefined ? {} : { note: config.note }),
    trained: trainedOf(config),
    ...measuredOf(config, metrics),
    ...(config.from ? { from: { run: config.from.run, step: config.from.step } } : {}),
  };
}
