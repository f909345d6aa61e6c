/**
 * A workflow: a graph of typed ports in which roles, tools, routers and loops pass values. It says what happens, never
 * which model does it (that is the cast's business). Values are JSON; an edge carries the value of one output port to one
 * input port, whose name is what the prompt of the receiving role calls it: `{{question}}`.
 */
import { z } from 'zod';
import { castSchema } from './cast.ts';
import { rewardsSchema } from './reward.ts';

/** `constructor` is what every object has already: a name that would be found where nobody put it. */
export const idSchema = z
  .string()
  .regex(
    /^(?!constructor$)[a-z][a-z0-9_-]{0,63}$/,
    'use a lower-case letter, then up to 63 letters, digits, - or _; not "constructor"',
  );

export const portTypes = ['text', 'list', 'passages', 'steps', 'number', 'flag', 'json'] as const;
export const portTypeSchema = z.enum(portTypes);
export const portSchema = z.object({ name: idSchema, type: portTypeSchema, optional: z.boolean().default(false) });

const tagSchema = z.string().regex(/^[a-zA-Z][\w-]{0,31}$/);

/** How a role's text becomes values. An illegal text still yields values through the fallback, and is counted. */
export const parserSchema = z.discriminatedUnion('kind', [
  /** `<tag>…</tag>` once (text) or several times (list); nothing but white space outside the tags when `strict`. */
  z.object({
    kind: z.literal('tags'),
    tag: tagSchema,
    port: idSchema,
    min: z.int().min(1).max(64).default(1),
    max: z.int().min(1).max(64).default(1),
    unique: z.boolean().default(false),
    strict: z.boolean().default(true),
    /** Longest legal value, in characters. */
    maxChars: z.int().min(1).max(100_000).default(2_000),
    /** A whole text that is legal too, says "nothing more" and gives an empty value: `<end>`. */
    end: z.string().min(1).max(64).optional(),
  }),
  /** One tag a port: `all` of them once each (but the optional ones), or exactly `one` of them; the others are empty texts. */
  z.object({
    kind: z.literal('fields'),
    choose: z.enum(['all', 'one']).default('all'),
    fields: z
      .array(z.object({ tag: tagSchema, port: idSchema, optional: z.boolean().default(false) }))
      .min(1)
      .max(16),
    strict: z.boolean().default(true),
    maxChars: z.int().min(1).max(100_000).default(2_000),
  }),
  /**
   * M-ASK's plan: `<q1>…</q1><a1>…</a1><q2>…`, questions and answers in turn and numbered from 1, then one `<final>`: the
   * steps at `port`, the answer at `answer`. The fallback of an answer is the last step's.
   */
  z.object({
    kind: z.literal('steps'),
    port: idSchema,
    answer: idSchema,
    final: tagSchema.default('final_answer'),
    max: z.int().min(1).max(64).default(5),
    maxChars: z.int().min(1).max(100_000).default(2_000),
  }),
  /** The whole text, trimmed. Legal when the model ended by itself, is not empty and is not longer than maxChars. */
  z.object({ kind: z.literal('text'), port: idSchema, maxChars: z.int().min(1).max(100_000).default(2_000) }),
  /**
   * A team written by a role (MAS-GPT): one `<workflow>…</workflow>` with a workflow of this schema as JSON, of which `roles`,
   * `nodes` and `edges` are enough. Legal when it could run: within the bounds here, with these tools alone, without a team
   * node of its own. The workflow at `port`, null where it is illegal; what stands before it at `reasoning`.
   */
  z.object({
    kind: z.literal('workflow'),
    port: idSchema,
    reasoning: idSchema.optional(),
    tag: tagSchema.default('workflow'),
    tools: z.array(idSchema).max(16).default([]),
    /** What the team is given: the ports its input node may have. */
    inputs: z
      .array(portSchema)
      .min(1)
      .max(8)
      .prefault([{ name: 'question', type: 'text' }]),
    /** Most nodes, with its sub-workflows in place. */
    nodes: z.int().min(2).max(64).default(16),
    maxChars: z.int().min(1).max(100_000).default(12_000),
  }),
]);

export const roleSchema = z.object({
  title: z.string().max(80),
  description: z.string().max(500).default(''),
  /** Templates over the node's input ports. `few` are worked examples, put before the real turn. */
  prompt: z.object({
    system: z.string().max(20_000).default(''),
    user: z.string().max(20_000),
    few: z
      .array(z.object({ user: z.string().max(20_000), assistant: z.string().max(20_000) }))
      .max(16)
      .default([]),
  }),
  parser: parserSchema,
  sampling: z
    .object({
      temperature: z.number().min(0).max(5).default(1),
      topK: z.int().min(0).default(0),
      topP: z.number().gt(0).max(1).default(1),
      minP: z.number().min(0).max(1).default(0),
      maxTokens: z.int().min(1).max(8_192).default(64),
      stop: z.array(z.string().min(1).max(64)).max(8).default([]),
    })
    .prefault({}),
});

const nodeBase = {
  id: idSchema,
  title: z.string().max(80).default(''),
  /** Longest time one execution may take; calls of a model that run as one batch add theirs up. */
  timeoutMs: z.int().min(1).max(3_600_000).default(120_000),
};

const eachSchema = z.array(idSchema).min(1).max(8).optional();

/** What the whole team remembers of one question: a field with a type. Lists may be appended to; anything may be replaced. */
export const memoryFieldSchema = z.object({ type: portTypeSchema, initial: z.json().optional() });

export const nodeSchema = z.discriminatedUnion('kind', [
  z.object({ ...nodeBase, kind: z.literal('input'), outputs: z.array(portSchema).min(1) }),
  /** `samples`: asks so many times, and gives lists. `each`: asks once for every item of these input ports, taken in step. */
  z.object({
    ...nodeBase,
    kind: z.literal('role'),
    role: idSchema,
    inputs: z.array(portSchema),
    samples: z.int().min(1).max(64).optional(),
    each: eachSchema,
  }),
  z.object({
    ...nodeBase,
    kind: z.literal('tool'),
    tool: idSchema,
    settings: z.record(z.string(), z.json()).default({}),
    each: eachSchema,
  }),
  /** Sends its first input on through the first branch whose condition holds; the others are for the conditions to read. Output ports are named after branches. */
  z.object({
    ...nodeBase,
    kind: z.literal('router'),
    inputs: z.array(portSchema).min(1),
    branches: z.array(z.object({ name: idSchema, when: z.string().max(2_000) })).min(1),
    otherwise: idSchema,
  }),
  /**
   * Passes `in` (then `again`) on to `body` until `until` holds or `body` was taken `limit` times, then to `done`. CEL sees
   * `turn` (how often `body` was taken), `value` (what came in) and `inputs`, further ports read at each visit.
   */
  z.object({
    ...nodeBase,
    kind: z.literal('loop'),
    type: portTypeSchema,
    inputs: z.array(portSchema).max(16).default([]),
    limit: z.int().min(1).max(100),
    until: z.string().max(2_000).default('false'),
  }),
  /** Computes one value from its inputs with CEL. */
  z.object({
    ...nodeBase,
    kind: z.literal('compute'),
    inputs: z.array(portSchema).min(1),
    output: portSchema,
    expression: z.string().max(2_000),
  }),
  /**
   * Writes what comes in at ports named after fields to the shared memory, then gives the fields of `read` as they are.
   * `after` is a port only waited for.
   */
  z.object({
    ...nodeBase,
    kind: z.literal('memory'),
    write: z
      .array(z.object({ field: idSchema, how: z.enum(['append', 'replace']) }))
      .max(16)
      .default([]),
    read: z.array(idSchema).max(16).default([]),
  }),
  /** Runs a sub-workflow of this file: its input's ports are this node's inputs, its output's ports this node's outputs. */
  z.object({ ...nodeBase, kind: z.literal('workflow'), workflow: idSchema }),
  /**
   * Runs the team that `writer` wrote, a role whose parser is `workflow`; the policy of the role `player` plays all its roles.
   * A team that is illegal, fails or oversteps `calls`, `tokens` (of all responses) or `timeoutMs` (of its own steps, the
   * calls not counted) gives an empty answer, and the flow goes on.
   */
  z.object({
    ...nodeBase,
    kind: z.literal('team'),
    writer: idSchema,
    player: idSchema,
    calls: z.int().min(1).max(64).default(16),
    tokens: z.int().min(1).max(65_536).default(4_096),
  }),
  z.object({ ...nodeBase, kind: z.literal('output'), inputs: z.array(portSchema).min(1) }),
]);

export const edgeSchema = z.object({
  from: z.object({ node: idSchema, port: idSchema }),
  to: z.object({ node: idSchema, port: idSchema }),
});

/** Version 2 added samples, each, memory, sub-workflows, teams and the parsers `fields`, `steps`, `workflow`; version 1 means what it meant. */
export const WORKFLOW_VERSION = 2;

const graphFields = {
  nodes: z.array(nodeSchema).min(2).max(500),
  edges: z.array(edgeSchema).max(2_000),
};

/** Canvas positions by node id; nodes without one are laid out. */
export const layoutSchema = z.record(idSchema, z.object({ x: z.number(), y: z.number() }));

/** Remarks on the canvas, for people alone: top left corner and size in canvas units. */
const noteSchema = z.object({
  id: idSchema,
  text: z.string().max(4_000),
  x: z.number(),
  y: z.number(),
  width: z.number().min(60).max(2_000),
  height: z.number().min(40).max(2_000),
});
const notesSchema = z.array(noteSchema).max(100).optional();

export const subWorkflowSchema = z.object({
  title: z.string().max(120).default(''),
  ...graphFields,
  layout: layoutSchema.optional(),
  notes: notesSchema,
});

export const workflowSchema = z.object({
  troupe: z.literal('workflow'),
  version: z.literal([1, WORKFLOW_VERSION]).transform((): typeof WORKFLOW_VERSION => WORKFLOW_VERSION),
  name: idSchema,
  title: z.string().min(1).max(120),
  description: z.string().max(4_000).default(''),
  roles: z.record(idSchema, roleSchema),
  ...graphFields,
  rewards: rewardsSchema,
  memory: z.record(idSchema, memoryFieldSchema).optional(),
  /** Sub-workflows by name: graphs over the same roles and memory, each with a canvas of its own. */
  workflows: z.record(idSchema, subWorkflowSchema).optional(),
  /** Named casts kept with the workflow, beside the presets `shared` and `separate` that always exist. */
  casts: z.record(z.string(), castSchema).default({}),
  layout: layoutSchema.default({}),
  notes: notesSchema,
});

export type PortType = z.infer<typeof portTypeSchema>;
export type Port = z.infer<typeof portSchema>;
export type Parser = z.infer<typeof parserSchema>;
export type Role = z.infer<typeof roleSchema>;
export type WorkflowNode = z.infer<typeof nodeSchema>;
export type MemoryField = z.infer<typeof memoryFieldSchema>;
export type CanvasNote = z.infer<typeof noteSchema>;
export type Edge = z.infer<typeof edgeSchema>;
export type Workflow = z.infer<typeof workflowSchema>;
/** What a person may write: defaults left out. */
export type WorkflowInput = z.input<typeof workflowSchema>;
