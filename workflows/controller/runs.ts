/** Runs as screens list and open them: the frozen configuration, the state of the job or what is left of it on disk. */
import type { Job, JobState, RunDetail, RunSummary } from '../protocol.ts';
import { listCheckpoints, readMetrics, readRun, readState } from '../workspace/runs.ts';
import type { Store } from '../workspace/store.ts';

/** A run that was at work when its process ended is paused: resume takes it up from the last checkpoint. */
async function stateOf(store: Store, id: string, job: Job | undefined): Promise<JobState> {
  if (job) return job.state;
  const state = (await readState(store, id))?.state ?? 'paused';
  return ['starting', 'running', 'pausing', 'stopping'].includes(state) ? 'paused' : state;
}

export async function runDetail(store: Store, id: string, job: Job | undefined): Promise<RunDetail> {
  const config = await readRun(store, id);
  return { config, state: await stateOf(store, id, job), metrics: await readMetrics(store, id), checkpoints: await listCheckpoints(store, id) };
}

export async function runSummary(store: Store, id: string, job: Job | undefined): Promise<RunSummary> {
  const { config, state, metrics } = await runDetail(store, id, job);
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
  };
}
