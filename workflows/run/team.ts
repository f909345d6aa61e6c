/**
 * What a written team stands in and may use while it walks: the node that runs it, the role that plays it, and what is left
 * of its calls, tokens and time. Tokens are taken when a call is asked for and given back as far as it used fewer.
 */
import { UserError } from '../../engine/errors.ts';
import type { GenerateRequest, Generation } from '../../engine/protocol.ts';
import type { TraceRecord } from '../schema/trace.ts';
import type { Json, Values } from '../schema/value.ts';
import type { Workflow } from '../schema/workflow.ts';
import { Dropped } from './dropped.ts';
import { buildGraph, type Graph, type GraphNode } from './graph.ts';
import { teamRules, type TeamNode } from './team-rules.ts';
import { readTeam } from './written-team.ts';

type Left = { calls: number; tokens: number; ms: number };

export type Inside = {
  /** The node that runs the team; its nodes stand under this name. */
  readonly node: string;
  /** The role whose policy plays every role of the team. */
  readonly player: string;
  /** Records that what the team is given came of. */
  readonly parents: readonly string[];
  readonly counts: { readonly visits: Map<string, number>; readonly calls: string[] };
  /** Puts a record on the trace of the question. */
  put(record: TraceRecord): void;
  readonly left: Left;
};

type Opened = { graph: Graph; given: Record<string, Json>; limits: Left } | { problem: string };

/** The team at port `team`, made ready to run, with what it is given; or why it may not run. */
export function openTeam(workflow: Pick<Workflow, 'roles'>, node: TeamNode, values: Values): Opened {
  const { team = null, ...given } = values;
  if (team === null) return { problem: 'no team that may run was written' };
  try {
    const graph = buildGraph(readTeam(team, teamRules(workflow, node)));
    return { graph, given, limits: { calls: node.calls, tokens: node.tokens, ms: node.timeoutMs } };
  } catch (error) {
    if (error instanceof UserError) return { problem: error.message };
    throw error;
  }
}

/** Takes one call of at most `maxTokens` from what is left, and says how many tokens it may be. */
export function take(inside: Inside | undefined, maxTokens: number): number {
  if (inside === undefined) return maxTokens;
  const { left } = inside;
  if (left.calls <= 0) throw new Dropped('the team asks for more calls than it may make');
  if (left.tokens <= 0) throw new Dropped('the team writes more tokens than it may');
  const taken = Math.min(maxTokens, left.tokens);
  left.calls -= 1;
  left.tokens -= taken;
  return taken;
}

/** Gives back what an answer did not use. A service's answer has no tokens of ours; about four characters are one. */
export function giveBack(inside: Inside | undefined, { sampling }: GenerateRequest, { ids, text }: Generation): void {
  if (inside === undefined) return;
  const used = ids.length > 0 ? ids.length : Math.ceil(text.length / 4);
  inside.left.tokens += Math.max(0, sampling.maxTokens - used);
}

/** Runs one step of a team within the time that is left to it. */
export async function spend<T>(
  inside: Inside | undefined,
  node: GraphNode,
  work: (timed: GraphNode) => Promise<T>,
): Promise<T> {
  if (inside === undefined) return work(node);
  const { left } = inside;
  const began = performance.now();
  const timeoutMs = Math.max(1, Math.min(node.node.timeoutMs, left.ms));
  const made = await work({ ...node, node: { ...node.node, timeoutMs } });
  left.ms -= performance.now() - began;
  if (left.ms <= 0) throw new Dropped("the team's steps take longer than they may");
  return made;
}
