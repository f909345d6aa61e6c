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

export const policySchema = z.object({
  /** Name of a model in the workspace, a bundled one, or (terminal, desktop) a path; "*" is the one chosen for the run. */
  model: z.string().min(1),
  method: methodSchema,
  frozen: z.boolean().default(false),
});

export const CAST_VERSION = 1;

export const castSchema = z.object({
  troupe: z.literal('cast').default('cast'),
  version: z.literal(CAST_VERSION).default(CAST_VERSION),
  name: z.string().min(1).max(80),
  policies: z.record(z.string().min(1).max(64), policySchema),
  /** role -> policy */
  roles: z.record(z.string(), z.string()),
});

export type PolicyChoice = z.infer<typeof policySchema>;
export type Cast = z.infer<typeof castSchema>;
export type Method = z.infer<typeof methodSchema>;
