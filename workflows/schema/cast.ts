/**
 * A cast: which policy plays which role. Full sharing, full separation and everything between are only casts; changing the
 * cast changes nothing else.
 */
import { z } from 'zod';

export const methodSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('full') }),
  z.object({
    kind: z.literal('lora'),
    rank: z.int().min(1).max(256).default(16),
    alpha: z.number().positive().max(1_024).default(32),
    targets: z
      .array(z.enum(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']))
      .min(1)
      .default(['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
    layers: z.array(z.int().min(0)).optional(),
  }),
]);

/** An OpenAI-compatible service. The key is named, never written: it lives in the environment. */
export const endpointSchema = z.object({
  kind: z.literal('endpoint'),
  /** Up to and without "/chat/completions": "https://api.example.com/v1". */
  url: z.url({ protocol: /^https?$/ }).max(2_000),
  /** The service's own name of the model. */
  model: z.string().min(1).max(200),
  /** Name of the environment variable that holds the key; none is sent without. */
  keyFrom: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/, 'name an environment variable, such as OPENAI_API_KEY; the key itself stays out')
    .optional(),
  timeoutMs: z.int().min(100).max(600_000).default(60_000),
  /** How often a busy service is asked again, each time after a longer wait. */
  retries: z.int().min(0).max(10).default(5),
  /** Most calls at once. */
  parallel: z.int().min(1).max(64).default(8),
});

export const weightsSchema = z.enum(['f32', 'f16', 'q8', 'q4']);
export const keysSchema = z.enum(['f32', 'f16']);
export const activationsSchema = z.enum(['f32', 'f16']);

export const policySchema = z
  .object({
    /** Name of a model in the workspace, a bundled one, or (terminal, desktop) a path; "*" is the one chosen for the run. */
    model: z.string().min(1),
    method: methodSchema,
    frozen: z.boolean().default(false),
    /** How exact the weights are that it samples with; float32 when absent. It always learns on float32. */
    weights: weightsSchema.optional(),
    /** How exact the keys and values are that it samples with; when absent, half floats beside weights less exact than float32. */
    keys: keysSchema.optional(),
    /** How exact what flows between the kernels is as it samples; float32 when absent. */
    activations: activationsSchema.optional(),
    /** Who answers instead of the model: a service elsewhere, or a person. Such a policy is frozen. */
    by: z.discriminatedUnion('kind', [endpointSchema, z.object({ kind: z.literal('person') })]).optional(),
  })
  .refine(({ by, frozen }) => by === undefined || frozen, {
    path: ['frozen'],
    message: 'a service or a person cannot be trained here; set "frozen": true',
  });

/** Version 2 added `by` and the model "*"; version 1 means what it meant. */
export const CAST_VERSION = 2;

export const castSchema = z.object({
  troupe: z.literal('cast').default('cast'),
  version: z.literal([1, CAST_VERSION]).default(CAST_VERSION),
  name: z.string().min(1).max(80),
  policies: z.record(z.string().min(1).max(64), policySchema),
  /** role -> policy */
  roles: z.record(z.string(), z.string()),
});

export type PolicyChoice = z.infer<typeof policySchema>;
export type Endpoint = z.infer<typeof endpointSchema>;
export type Cast = z.infer<typeof castSchema>;
export type Method = z.infer<typeof methodSchema>;
