/**
 * Runs a workflow on many questions at once, in waves: every question walks until it waits for a model, then all waiting
 * calls go out as one batch for each policy, and the next wave starts with their answers. Traces come back in the order of
 * the questions. Owns batching, time limits and drops; what one question does is `walk.ts`.
 */
import { Cancelled, UserError } from '../../engine/errors.ts';
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { Cast } from '../schema/cast.ts';
import type { ForkChange, Trace, TraceRecord } from '../schema/trace.ts';
import type { Workflow } from '../schema/workflow.ts';
import type { Query, Task } from '../tasks/task.ts';
import type { Web } from '../tools/web.ts';
import { runBestBranches } from './best-branches.ts';
import { buildGraph, type Graph } from './graph.ts';
import { promptReferences } from './prompt.ts';
import type { Pinned } from './pinned.ts';
import { Replay } from './replay.ts';
import { samplesOf } from './samples.ts';
import type { Pending } from './role-call.ts';
import { Walk } from './walk.ts';
import type { WalkOptions } from './walk-options.ts';

/** All requests of one wave for one policy; answers in any order, matched by `record`. */
export type Generate = (policy: string, requests: readonly GenerateRequest[]) => Promise<readonly Generation[]>;

export type Branching = boolean | 'best';

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
  /** Samples after the first branch off it, one call of the workflow each, instead of being independent; `best`: off the best so far. */
  branch?: Branching;
  /** Gives a finished trace its rewards. Needed for the branch `best`, whose traces come back settled. */
  settle?: (trace: Trace) => Promise<Trace>;
  generate: Generate;
  /** Nodes that give these results instead of running. */
  pinned?: Pinned | undefined;
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
  const graph = checkedGraph(run);
  return run.branch === 'best' ? runStages(run, graph) : runWalks(run, makeWalks(run, graph));
}

function runStages(run: RunBatch, graph: Graph): Promise<Trace[]> {
  const { queries, samples = 1, settle } = run;
  if (settle === undefined) throw new Error('branching off the best needs rewards');
  const nameOf = traceNames(run);
  return runBestBranches({ questions: queries.length, samples, calls: callsIn(graph) }, async (wanted) => {
    const walks = wanted.map(({ question, sample }) =>
      makeWalk(run, graph, { query: queries[question], traceId: nameOf(queries[question]), sample }),
    );
    const traces = await runWalks(run, walks);
    return Promise.all(traces.map(async (trace, i) => ({ trace: await settle(trace), called: walks[i].called })));
  });
}

/** What every fork of a trace is run with; the rest stands in the trace. */
export type RunForks = Omit<RunBatch, 'queries' | 'samples' | 'branch' | 'phase' | 'step'> & { query: Query };

/** Runs a trace again for every change, as `Replay` says. Trace ids are those given; errors are those of `runBatch`. */
export async function runForks(
  run: RunForks,
  parent: Trace,
  record: string,
  forks: readonly { readonly id: string; readonly change: ForkChange }[],
): Promise<Trace[]> {
  const { phase, step } = parent;
  const batch: RunBatch = { ...run, queries: [run.query], phase, step };
  const graph = checkedGraph(batch);
  return runWalks(
    batch,
    forks.map(({ id, change }) =>
      makeWalk(batch, graph, { query: run.query, traceId: id, replay: new Replay(parent, record, change) }),
    ),
  );
}

function checkedGraph({ workflow, cast }: RunBatch): Graph {
  const graph = buildGraph(workflow);
  checkCast(graph.workflow, cast);
  checkPrompts(graph.workflow);
  return graph;
}

async function runWalks(run: RunBatch, walks: readonly Walk[]): Promise<Trace[]> {
  const reported = new Set<Walk>();
  for (;;) {
    if (run.cancelled?.() === true) throw new Cancelled('The run');
    await Promise.all(walks.map((walk) => walk.advance()));
    reportFinished(run, walks, reported);
    const calls = walks.flatMap((walk) => walk.pending.map((pending) => ({ walk, pending })));
    if (calls.length === 0) return walks.map((walk) => walk.trace);
    await callAll(run, calls);
    reportFinished(run, walks, reported);
  }
}

/** A record's name in the engine. */
export function recordKey(trace: Pick<Trace, 'id'>, record: Pick<TraceRecord, 'id'>): string {
  return `${trace.id}/${record.id}`;
}

type Call = { walk: Walk; pending: Pending };

function makeWalks(run: RunBatch, graph: Graph): Walk[] {
  const nameOf = traceNames(run);
  const samples = samplesOf(run.samples ?? 1, run.branch === true, callsIn(graph));
  const wanted = run.queries.flatMap((query) => samples.map((sample) => ({ query, sample })));
  return wanted.map(({ query, sample }) => makeWalk(run, graph, { query, traceId: nameOf(query), sample }));
}

function callsIn({ workflow }: Graph): number {
  return workflow.nodes.filter(({ kind }) => kind === 'role').length;
}

/** Each name once: a question's later samples are numbered. */
function traceNames({ step, phase }: Pick<RunBatch, 'step' | 'phase'>): (query: Query) => string {
  const drawn = new Map<string, number>();
  return ({ id }) => {
    const before = drawn.get(id) ?? 0;
    drawn.set(id, before + 1);
    return `${step}-${phase}-${id}${before === 0 ? '' : `~${before}`}`;
  };
}

function makeWalk(
  { cast, task, web, phase, step, seed, greedy, pinned, onRecord }: RunBatch,
  graph: Graph,
  own: Pick<WalkOptions, 'query' | 'traceId' | 'sample' | 'replay'>,
): Walk {
  const { corpus, metric } = task;
  return new Walk({
    graph,
    cast,
    corpus,
    ...(web === undefined ? {} : { web }),
    ...(pinned === undefined ? {} : { pinned }),
    metric,
    phase,
    step,
    seed,
    greedy: greedy ?? phase === 'eval',
    onRecord,
    ...own,
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

/** Policies side by side, since those on one base may share the device's steps; a failure waits for the others to end. */
async function callAll(run: RunBatch, calls: readonly Call[]): Promise<void> {
  const sharedMs = timeOf(calls);
  // A person thinks as long as they like; who does not want to wait stops the run.
  const allowedMs = ([{ pending }]: readonly Call[]): number =>
    run.cast.policies[pending.policy].by?.kind === 'person' ? longestTimerMs : sharedMs;
  const outcomes = await Promise.allSettled(byPolicy(calls).map((batch) => callPolicy(run, batch, allowedMs(batch))));
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

async function callPolicy(run: RunBatch, calls: readonly Call[], allowedMs: number): Promise<void> {
  const failures: UserError[] = [];
  await callOrSplit(run, calls, failures, allowedMs);
  // A sentence that is true of every single call is about the policy, not about a question.
  if (
    failures.length === calls.length &&
    calls.length > 1 &&
    new Set(failures.map((failure) => failure.message)).size === 1
  )
    throw failures[0];
}

/** A request the engine refuses fails its whole batch: halve the batch until the request is alone, and drop its question. */
async function callOrSplit(
  run: RunBatch,
  calls: readonly Call[],
  failures: UserError[],
  allowedMs: number,
): Promise<void> {
  let answers: readonly Generation[] | 'late';
  try {
    answers = await withinTime(
      run.generate(
        calls[0].pending.policy,
        calls.map((call) => call.pending.request),
      ),
      allowedMs,
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (calls.length > 1) {
      const half = Math.ceil(calls.length / 2);
      await callOrSplit(run, calls.slice(0, half), failures, allowedMs);
      await callOrSplit(run, calls.slice(half), failures, allowedMs);
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

/** Calls share one device, so a wave may take as long as its calls one after the other. */
const timeOf = (calls: readonly Call[]): number =>
  Math.min(
    calls.reduce((sum, call) => sum + call.pending.timeoutMs, 0),
    longestTimerMs,
  );

async function withinTime(
  work: Promise<readonly Generation[]>,
  allowedMs: number,
): Promise<readonly Generation[] | 'late'> {
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
