/**
 * A study file: which teams are compared, on what, and how often. The grid is workflows × models × casts × estimators, each
 * point of it (an arm) trained once a seed; everything else is the same for all. Reading it changes nothing.
 */
import { z } from 'zod';
import { castSchema, methodSchema } from '../schema/cast.ts';
import { parseAs } from '../schema/migrate.ts';
import { branchingSchema } from '../schema/run.ts';

const label = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,59}$/u, 'use up to 60 letters, digits, spaces, dots, _ and -');

/** Roles that share a policy; a role in no group has its own. */
const groupsSchema = z.strictObject({ name: label, groups: z.array(z.array(z.string()).min(1)).min(1).max(64) });

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const estimators = ['gae', 'grpo', 'dr-grpo', 'rloo', 'reinforce'] as const;

/** An estimator by name, or settings of the update under a name of one's own. */
const learningSchema = z.union([
  z.enum(estimators),
  z.strictObject({
    name: label,
    set: z.record(z.string(), scalar).default({}),
    samples: z.int().min(1).max(256).optional(),
    branch: branchingSchema.optional(),
  }),
]);

export const studySchema = z.strictObject({
  troupe: z.literal('study'),
  version: z.literal(1),
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'use up to 40 lower-case letters, digits and -'),
  title: z.string().min(1).max(120).optional(),
  /** What is asked, for the report's first lines. */
  question: z.string().max(4_000).default(''),
  /** What a person makes of the numbers; put into the report when written. */
  conclusion: z.string().max(20_000).default(''),
  workflows: z.array(z.string().min(1)).min(1).max(64).default(['qd-answer']),
  models: z.array(z.string().min(1)).min(1).max(64).default(['nano']),
  method: methodSchema.optional(),
  task: z.string().min(1).default('village-qa'),
  corpus: z.string().optional(),
  taskOptions: z.record(z.string(), scalar).default({}),
  search: z.strictObject({ passages: z.int().min(1).optional(), words: z.int().min(0).optional() }).optional(),
  /** Presets, casts of the workflow, .json files, groups of roles, or casts in full. */
  casts: z
    .array(z.union([z.string().min(1), groupsSchema, castSchema]))
    .min(1)
    .max(64),
  estimators: z.array(learningSchema).min(1).max(64).default(['gae']),
  seeds: z.array(z.int().min(0).max(0xffffffff)).min(1).max(1_000),
  steps: z.int().min(1).optional(),
  queries: z.int().min(1).optional(),
  evalEvery: z.int().min(1).optional(),
  evalLimit: z.int().min(1).optional(),
  checkpointEvery: z.int().min(1).optional(),
  /** Settings of the update for every arm. */
  set: z.record(z.string(), scalar).default({}),
});

export type Study = z.infer<typeof studySchema>;

/** A study from JSON. Throws a UserError naming the place in the file and the remedy. */
export function parseStudy(json: unknown): Study {
  return parseAs({ kind: 'study', version: 1, schema: studySchema, migrations: {} }, json);
}
