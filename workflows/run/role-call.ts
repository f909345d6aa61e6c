/**
 * One call of a role: what it is asked, with which seed and whether it is learned from, and what its record becomes with the
 * answer. Knows nothing of the way through the graph.
 */
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { TraceRecord } from '../schema/trace.ts';
import type { Values } from '../schema/value.ts';
import type { Role, WorkflowNode } from '../schema/workflow.ts';
import { guarded } from './dropped.ts';
import type { GraphNode } from './graph.ts';
import { parseText } from './parse.ts';
import { renderPrompt } from './prompt.ts';
import { learnsFrom, sampleSeed } from './samples.ts';
import { hashSeed } from './seed.ts';
import { take } from './team.ts';
import type { WalkOptions } from './walk-options.ts';

/** A call of a model that waits for its batch. */
export type Pending = {
  policy: string;
  request: GenerateRequest;
  timeoutMs: number;
  record: TraceRecord;
  node: GraphNode;
  role: Role;
};

export type RoleNode = Extract<WorkflowNode, { kind: 'role' }>;

/** The call for a record that has its inputs; fills in who plays it, its seed and its prompt. `call` counts the walk's calls from 0. */
export function callOf(
  options: WalkOptions,
  node: GraphNode,
  role: RoleNode,
  record: TraceRecord,
  call: number,
): Pending {
  const spec = options.graph.workflow.roles[role.role];
  const { inside } = options;
  const played = inside?.player ?? role.role;
  const policy = options.cast.roles[played];
  const { seed, step, phase, query, greedy, traceId } = options;
  const optional = role.inputs.filter((port) => port.optional).map((port) => port.name);
  const messages = guarded(role.id, () => renderPrompt(spec, record.inputs as Values, optional));
  const place = record.index === undefined ? [record.turn] : [record.turn, record.index];
  // Held-out and single questions do not depend on how far training is; questions drawn again in training must differ.
  record.seed = hashSeed(seed, phase === 'train' ? step : phase, query.id, record.node, ...place);
  record.role = played;
  record.policy = policy;
  const { sample = { index: 0 } } = options;
  record.seed = sampleSeed(record.seed, sample, call);
  record.trainable = !options.cast.policies[policy].frozen && learnsFrom(sample, call);
  record.prompt = messages.map((message) => ({ role: message.role, content: message.content }));
  const { replay } = options;
  if (replay) {
    record.prompt = replay.prompt(record)!;
    record.seed = replay.seed(record)!;
  }
  const sampling = {
    ...spec.sampling,
    maxTokens: take(inside, spec.sampling.maxTokens),
    temperature: greedy && !replay?.redraws(record) ? 0 : spec.sampling.temperature,
    seed: record.seed,
  };
  const request: GenerateRequest = {
    record: `${traceId}/${record.id}`,
    prompt: { messages: record.prompt },
    sampling,
    keep: record.trainable && phase === 'train',
  };
  return { policy, request, timeoutMs: role.timeoutMs, record, node, role: spec };
}

/** Puts an answer on its record: the text, the tokens, and what the role's parser makes of them. */
export function takeAnswer({ record, role }: Pending, generation: Generation): void {
  record.text = generation.text;
  record.finish = generation.finish;
  record.length = generation.ids.length;
  record.tokens = {
    promptIds: [...generation.promptIds],
    ids: [...generation.ids],
    pieces: [...generation.pieces],
    logprobs: [...generation.logprobs],
    entropy: [...generation.entropy],
  };
  const parsed = parseText(role.parser, generation.text, generation.finish, role.sampling.stop);
  record.outputs = parsed.values;
  record.legal = parsed.legal;
  if (parsed.problem !== undefined) record.problem = parsed.problem;
}
