/**
 * A trace: what one query's run really did, as a graph. Every node execution is a record with its parents, its exact
 * tokens, what it read and wrote, and the rewards it was given. The state before and after a record is derived from the
 * records in order (`state.ts`), never stored twice.
 */
import { z } from 'zod';
import { rewardLevels } from './reward.ts';

export const valuesSchema = z.record(z.string(), z.json());
const messageSchema = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });

export const assignedRewardSchema = z.object({
  level: z.enum(rewardLevels),
  rule: z.string(),
  value: z.number(),
  /** What the value is made of: {"f1": 0.67, "weight": 1}. */
  terms: z.record(z.string(), z.number()),
});

/** Token-level data; on disk the arrays stand in <step>.tokens.safetensors and are put back when a trace is opened. */
export const traceTokensSchema = z.object({
  promptIds: z.array(z.int()),
  ids: z.array(z.int()),
  pieces: z.array(z.string()),
  logprobs: z.array(z.number()),
  entropy: z.array(z.number()),
  oldLogprobs: z.array(z.number()).optional(),
  /** In the last pass of the update. */
  newLogprobs: z.array(z.number()).optional(),
  values: z.array(z.number()).optional(),
  advantages: z.array(z.number()).optional(),
  returns: z.array(z.number()).optional(),
});

export const recordSchema = z.object({
  /** Unique in its trace: "<node>#<visit>", with ".<index>" where one visit makes several records. */
  id: z.string(),
  node: z.string(),
  kind: z.enum(['input', 'role', 'tool', 'router', 'loop', 'compute', 'memory', 'team', 'output']),
  title: z.string(),
  /** How often this node had run before: 0, 1, … */
  turn: z.int().min(0),
  /** Which of a visit's several samples or items this is: 0, 1, … */
  index: z.int().min(0).optional(),
  /** Records whose values this one read, in port order, each once. */
  parents: z.array(z.string()),
  inputs: valuesSchema,
  outputs: valuesSchema,
  /** Its outputs were given, and it was not run. */
  pinned: z.boolean().optional(),
  role: z.string().optional(),
  policy: z.string().optional(),
  trainable: z.boolean().default(false),
  /** The messages sent to the model. */
  prompt: z.array(messageSchema).optional(),
  text: z.string().optional(),
  finish: z.string().optional(),
  /** Whether the parser accepted the text; `problem` says what it missed. */
  legal: z.boolean().optional(),
  problem: z.string().optional(),
  /** A tool's error, or why the node failed. */
  error: z.string().optional(),
  /** Response length in tokens. */
  length: z.int().optional(),
  seed: z.int().optional(),
  tokens: traceTokensSchema.optional(),
  rewards: z.array(assignedRewardSchema).default([]),
  /** Sum that went to the update; absent for records that are not trained. */
  reward: z.number().optional(),
});

/** What a fork makes different at one record; everything before it stays, everything that follows from it is run anew. */
export const forkChangeSchema = z.discriminatedUnion('kind', [
  /** Other words of a role. */
  z.object({ kind: z.literal('text'), text: z.string() }),
  /** The role is asked something else. */
  z.object({ kind: z.literal('prompt'), prompt: z.array(messageSchema).min(1) }),
  /** The role is asked the same again and draws with this seed. */
  z.object({ kind: z.literal('seed'), seed: z.int().min(0) }),
  /** A tool gives something else. */
  z.object({ kind: z.literal('outputs'), outputs: valuesSchema }),
]);

export const forkSchema = z.object({
  /** The trace it leaves, and the record where. */
  of: z.string(),
  record: z.string(),
  change: forkChangeSchema,
  /** Step of the checkpoint whose weights spoke in what was run anew; 0 for untrained ones. */
  weights: z.int().min(0),
});

export const TRACE_VERSION = 1;

export const traceSchema = z.object({
  troupe: z.literal('trace'),
  version: z.literal(TRACE_VERSION),
  /** Unique in its run: "<step>-<phase>-<query id>". */
  id: z.string(),
  workflow: z.string(),
  phase: z.enum(['train', 'eval', 'run']),
  step: z.int().min(0),
  query: z.object({ id: z.string(), question: z.string(), answers: z.array(z.string()) }),
  status: z.enum(['done', 'dropped']),
  /** Why it was dropped: a timeout, an error, a limit. */
  reason: z.string().optional(),
  answer: z.string().optional(),
  /** The task's metrics for the answer: {"f1": 1, "em": 1}. */
  score: z.record(z.string(), z.number()),
  /** Present in a trace that was made by changing another one. */
  fork: forkSchema.optional(),
  records: z.array(recordSchema),
});

export type AssignedReward = z.infer<typeof assignedRewardSchema>;
export type TraceTokens = z.infer<typeof traceTokensSchema>;
export type TraceRecord = z.infer<typeof recordSchema>;
export type ForkChange = z.infer<typeof forkChangeSchema>;
export type Trace = z.infer<typeof traceSchema>;
