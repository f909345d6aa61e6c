/**
 * For tests: a model whose answers are a function of node and prompt, casts over any workflow, and short ways to write a
 * graph. What a template does is then a table from prompts to texts.
 */
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import { settleRewards } from '../rewards/javascript.ts';
import { castSchema, type Cast } from '../schema/cast.ts';
import type { Trace, TraceRecord } from '../schema/trace.ts';
import { workflowSchema, type Workflow, type WorkflowInput } from '../schema/workflow.ts';
import type { Query } from '../tasks/task.ts';
import { runBatch, type Generate, type RunBatch } from './runner.ts';

export function castOf(
  workflow: Workflow,
  policyOf: (role: string) => string = () => 'main',
  frozen: string[] = [],
): Cast {
  const roles = Object.fromEntries(Object.keys(workflow.roles).map((role) => [role, policyOf(role)]));
  const policies = Object.fromEntries(
    Object.values(roles).map((policy) => [
      policy,
      { model: 'm', method: { kind: 'full' as const }, frozen: frozen.includes(policy) },
    ]),
  );
  return castSchema.parse({ name: 'test', policies, roles });
}

export function generation(request: GenerateRequest, text: string, finish: Generation['finish'] = 'stop'): Generation {
  const ids = [...text].map((char) => char.codePointAt(0)!);
  return {
    record: request.record,
    promptIds: [1],
    ids,
    pieces: [...text],
    text,
    logprobs: ids.map(() => -1),
    entropy: ids.map(() => 0.5),
    finish,
  };
}

export const nodeOf = (request: GenerateRequest): string => request.record.split('/').pop()!.split('#')[0];
export const lastMessage = (request: GenerateRequest): string =>
  'messages' in request.prompt ? request.prompt.messages.at(-1)!.content : '';

/** A model whose answers are a function of node and prompt; remembers how it was called. */
export function scripted(answer: (node: string, prompt: string) => string): {
  generate: Generate;
  calls: { policy: string; nodes: string[] }[];
} {
  const calls: { policy: string; nodes: string[] }[] = [];
  const generate: Generate = async (policy, requests) => {
    calls.push({ policy, nodes: requests.map(nodeOf) });
    return requests.map((request) => generation(request, answer(nodeOf(request), lastMessage(request)))).reverse();
  };
  return { generate, calls };
}

export function run(
  workflow: Workflow,
  queries: Query[],
  generate: Generate,
  more: Partial<RunBatch> = {},
): Promise<Trace[]> {
  return runBatch({
    workflow,
    cast: castOf(workflow),
    queries,
    task: { corpus: null },
    phase: 'train',
    step: 3,
    seed: 7,
    generate,
    ...more,
  });
}

export const plainRole = (user: string, port = 'out'): WorkflowInput['roles'][string] => ({
  title: 'r',
  prompt: { user },
  parser: { kind: 'text', port },
});
export const text = (name: string, optional = false) => ({ name, type: 'text' as const, optional });
export const edge = (from: string, to: string) => {
  const [a, b] = [from.split('.'), to.split('.')];
  return { from: { node: a[0], port: a[1] }, to: { node: b[0], port: b[1] } };
};
export function workflow(input: Pick<WorkflowInput, 'roles' | 'nodes'> & { edges: [string, string][] }): Workflow {
  return workflowSchema.parse({
    troupe: 'workflow',
    version: 1,
    name: 'test',
    title: 'Test',
    rewards: { rules: [] },
    ...input,
    edges: input.edges.map(([a, b]) => edge(a, b)),
  });
}

/** Runs one question and settles its rewards, as training does. */
export async function runOne(
  flow: Workflow,
  query: Query,
  generate: Generate,
  more: Partial<RunBatch> = {},
): Promise<Trace> {
  const [trace] = await run(flow, [query], generate, more);
  return settleRewards(flow, more.cast ?? castOf(flow), trace);
}

/** Each record's id with its reward, rounded, for those that are trained. */
export function rewardsOf(trace: Trace): Record<string, number> {
  return Object.fromEntries(
    trace.records.flatMap(({ id, reward }) =>
      reward === undefined ? [] : [[id, Math.round(reward * 1e6) / 1e6] as const],
    ),
  );
}

export function recordOf(trace: Trace, id: string): TraceRecord {
  const found = trace.records.find((record) => record.id === id);
  if (found === undefined)
    throw new Error(`no record ${id}; there are ${trace.records.map((record) => record.id).join(', ')}`);
  return found;
}
