/**
 * Runs a workflow on many questions at once, in waves: every question walks until it waits for a model, then all waiting
 * calls go out as one batch for each policy, and the next wave starts with their answers. Traces come back in the order of
 * the questions. Owns batching, time limits and drops; what one question does is `walk.ts`.
 */
import { Cancelled, UserError } from '../../engine/errors.ts';
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { Cast } from '../schema/cast.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Query, Task } from '../tasks/task.ts';
import type { Web } from '../tools/web.ts';
import { buildGraph, type Graph } from './graph.ts';
import { promptReferences } from './prompt.ts';
import { samplesOf } from './samples.ts';
import { Walk, type Pending } from './walk.ts';

/** All requests of one wave for one policy; answers in any order, matched by `record`. */
export type Generate = (policy: string, requests: readonly GenerateRequest[]) => Promise<readonly Generation[]>;

export type RunBatch = {
  workflow: Workflow;
  cast: Cast;
  queries: readonly Query[];
  task: Pick<Task, 'corpus'> & Partial<Pick<Task, 'metric'>>;
  /** Reads pages for tools, where the run allows the web. */
  web?: Web;
  phase: Trace['phase'];
  /** Training step; part of trace ids and, in training, of the seeds. */
  step: number;
  seed: number;
  /** Samples of each query; 1 when absent. */
  samples?: number;
  /** Samples after the first branch off it, one call of the workflow each, instead of being independent. */
  branch?: boolean;
  generate: Generate;
  /** Decode greedily; true for phase `eval` when absent. */
  greedy?: boolean;
  /** A record was finished. */
  onRecord?: (trace: Trace, record: TraceRecord) => void;
  /** A question was finished or dropped. */
  onTrace?: (trace: Trace) => void;
  /** Asked before every wave; true ends the batch with `Cancelled`. */
  cancelled?: () => boolean;
};

/**
 * Runs the workflow on every query. A query that fails, times out or outgrows its context is dropped: its trace has status
 * `dropped` and a reason. Throws a UserError for a workflow or cast that cannot run, Cancelled when asked to stop; an
 * engine's failure is passed on.
 */
export async function runBatch(run: RunBatch): Promise<Trace[]> {
  const graph = buildGraph(run.workflow);
  checkCast(graph.workflow, run.cast);
  checkPrompts(graph.workflow);
  const walks = makeWalks(run, graph);
  const reported = new Set<Walk>();
  for (;;) {
    if (run.cancelled?.() === true) throw new Cancelled('The run');
    await Promise.all(walks.map((walk) => walk.advance()));
    reportFinished(run, walks, reported);
    const calls = walks.flatMap((walk) => walk.pending.map((pending) => ({ walk, pending })));
    if (calls.length === 0) return walks.map((walk) => walk.trace);
    for (const batch of byPolicy(calls)) await callPolicy(run, batch);
    reportFinished(run, walks, reported);
  }
}

/** A record's name in the engine. */
export function recordKey(trace: Pick<Trace, 'id'>, record: Pick<TraceRecord, 'id'>): string {
  return `${trace.id}/${record.id}`;
}

type Call = { walk: Walk; pending: Pending };

function makeWalks(run: RunBatch, graph: Graph): Walk[] {
  const drawn = new Map<string, number>();
  const calls = graph.workflow.nodes.filter(({ kind }) => kind === 'role').length;
  const samples = samplesOf(run.samples ?? 1, run.branch === true, calls);
  const wanted = run.queries.flatMap((query) => samples.map((sample) => ({ query, sample })));
  return wanted.map(({ query, sample }) => {
    const before = drawn.get(query.id) ?? 0;
    drawn.set(query.id, before + 1);
    const traceId = `${run.step}-${run.phase}-${query.id}${before === 0 ? '' : `~${before}`}`;
    const { cast, phase, step, seed, web, onRecord } = run;
    return new Walk({
      graph,
      cast,
      query,
      corpus: run.task.corpus,
      ...(web === undefined ? {} : { web }),
      metric: run.task.metric,
      traceId,
      phase,
      step,
      seed,
      greedy: run.greedy ?? phase === 'eval',
      sample,
      onRecord,
    });
  });
}

function reportFinished(run: RunBatch, walks: readonly Walk[], reported: Set<Walk>): void {
  for (const walk of walks) {
    if (walk.live || reported.has(walk)) continue;
    reported.add(walk);
    run.onTrace?.(walk.trace);
  }
}

function byPolicy(calls: readonly Call[]): Call[][] {
  const groups = new Map<string, Call[]>();
  for (const call of calls) {
    const group = groups.get(call.pending.policy);
    if (group === undefined) groups.set(call.pending.policy, [call]);
    else group.push(call);
  }
  return [...groups.values()];
}

async function callPolicy(run: RunBatch, calls: readonly Call[]): Promise<void> {
  const failures: UserError[] = [];
  await callOrSplit(run, calls, failures);
  // A sentence that is true of every single call is about the policy, not about a question.
  if (
    failures.length === calls.length &&
    calls.length > 1 &&
    new Set(failures.map((failure) => failure.message)).size === 1
  )
    throw failures[0];
}

/** A request the engine refuses fails its whole batch: halve the batch until the request is alone, and drop its question. */
async function callOrSplit(run: RunBatch, calls: readonly Call[], failures: UserError[]): Promise<void> {
  let answers: readonly Generation[] | 'late';
  try {
    answers = await withinTime(
      run.generate(
        calls[0].pending.policy,
        calls.map((call) => call.pending.request),
      ),
      calls,
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (calls.length > 1) {
      const half = Math.ceil(calls.length / 2);
      await callOrSplit(run, calls.slice(0, half), failures);
      await callOrSplit(run, calls.slice(half), failures);
      return;
    }
    failures.push(error);
    calls[0].walk.fail(calls[0].pending, `${calls[0].pending.record.node}: ${error.message}`);
    return;
  }
  if (answers === 'late') {
    for (const { walk, pending } of calls)
      walk.fail(pending, `${pending.record.node}: timed out after ${pending.timeoutMs / 1000} s a call`);
    return;
  }
  deliver(run, calls, answers);
}

function deliver(run: RunBatch, calls: readonly Call[], answers: readonly Generation[]): void {
  const byRecord = new Map(answers.map((answer) => [answer.record, answer]));
  for (const { walk, pending } of calls) {
    const answer = byRecord.get(pending.request.record);
    if (answer === undefined) throw new Error(`The engine gave no answer for record ${pending.request.record}`);
    if (answer.finish === 'cancelled' && run.cancelled?.() === true) throw new Cancelled('The run');
    walk.deliver(pending, answer);
  }
}

const longestTimerMs = 0x7fffffff;

/** Calls share one device, so the batch may take as long as its calls one after the other. */
async function withinTime(
  work: Promise<readonly Generation[]>,
  calls: readonly Call[],
): Promise<readonly Generation[] | 'late'> {
  const allowedMs = Math.min(
    calls.reduce((sum, call) => sum + call.pending.timeoutMs, 0),
    longestTimerMs,
  );
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), allowedMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined); // an answer that comes too late may fail in peace
  }
}

function checkCast(workflow: Workflow, cast: Cast): void {
  for (const node of workflow.nodes) {
    if (node.kind !== 'role' && node.kind !== 'team') continue;
    const role = node.kind === 'role' ? node.role : node.player;
    const policy = cast.roles[role];
    if (policy === undefined)
      throw new UserError(`The cast ${cast.name} has no policy for the role ${role}; add it to the cast's roles`);
    if (cast.policies[policy] === undefined)
      throw new UserError(
        `The cast ${cast.name} gives the role ${role} to a policy it does not define: ${policy}; define it or choose one of ${Object.keys(cast.policies).join(', ')}`,
      );
  }
}

function checkPrompts(workflow: Workflow): void {
  for (const node of workflow.nodes) {
    if (node.kind !== 'role') continue;
    const ports = new Set(node.inputs.map((port) => port.name));
    const unknown = promptReferences(workflow.roles[node.role]).find((reference) => !ports.has(reference.port));
    if (unknown !== undefined)
      throw new UserError(
        `The prompt of ${node.role} reads {{${unknown.port}}}, which node ${node.id} has no input port for; add the port or change the prompt`,
      );
  }
}
