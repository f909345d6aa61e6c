/**
 * The last thing a team did that is still on disk, so that rewards can be tried and prompts be shown on it after a restart: the
 * newest of the questions asked one by one, else the newest trace of its newest run.
 */
import type { ControllerApi, RunSummary } from '../../workflows/protocol.ts';
import type { Trace } from '../../workflows/schema/trace.ts';
import { QUESTIONS } from '../../workflows/workspace/layout.ts';

/** How many of the newest questions are looked through. */
const LOOKED_AT = 12;

type Asked = Pick<ControllerApi, 'traces' | 'trace'>;

export async function lastTrace(
  api: Asked,
  runs: readonly Pick<RunSummary, 'id' | 'workflow' | 'step'>[],
  workflow: string,
): Promise<Trace | null> {
  const questions = await api.traces(QUESTIONS, { order: 'newest', limit: LOOKED_AT });
  for (const { id } of questions.rows) {
    const trace = await api.trace(QUESTIONS, id);
    if (trace.workflow === workflow) return trace;
  }
  const run = runs.find((one) => one.workflow === workflow && one.step > 0);
  const newest = run && (await api.traces(run.id, { order: 'newest', limit: 1 })).rows[0];
  return run && newest ? api.trace(run.id, newest.id) : null;
}
