/**
 * Rewards as a user defines them: rules that read a finished trace and give values to single records, at role, turn or
 * trajectory level. A record's reward is the weighted sum of its rules' values plus the format term; every term is kept.
 */
import { z } from 'zod';

export const rewardLevels = ['role', 'turn', 'trajectory'] as const;

/**
 * The values one port took over a trace, in order: M-ASK's answers a_0, a_1, …, or the pass rates of successive programs.
 * Named by role, or by node (inside a sub-workflow "<node>.<inner node>").
 */
export const seriesSchema = z.union([
  z.strictObject({ role: z.string(), port: z.string() }),
  z.strictObject({ node: z.string(), port: z.string() }),
]);

/** How a value becomes a number: a metric of the task (`f1`, `em`), or `value` for what is a number already. */
const measureSchema = z.string().min(1).max(64);

export const rewardValueSchema = z.discriminatedUnion('kind', [
  /** The task's own score of the final answer: `f1`, `em`, … */
  z.object({ kind: z.literal('score'), metric: z.string() }),
  /** What this record itself wrote, at `port` or its only port. */
  z.object({ kind: z.literal('own'), metric: measureSchema, port: z.string().optional() }),
  /** The last value of a series; `start` where it has none. */
  z.object({ kind: z.literal('last'), of: seriesSchema, metric: measureSchema, start: z.number().default(0) }),
  /**
   * What the record changed: the first value of the series that came of it, minus the value before that one (`start` where
   * there is none). 0 where nothing came of the record, as after M-ASK's <end>.
   */
  z.object({ kind: z.literal('change'), of: seriesSchema, metric: measureSchema, start: z.number().default(0) }),
  /**
   * CURE (arXiv 2506.03136) over an execution matrix of N programs by M tests. `programs` rewards the records that wrote
   * the rows, `tests` those that wrote the columns. `matrix` holds a list of M flags a program on the written tests,
   * `truth` one on the task's own. lambda: of the verifier's share (programs) or of a token's cost (tests), `simple` only.
   */
  z.object({
    kind: z.literal('cure'),
    side: z.enum(['programs', 'tests']),
    scheme: z.enum(['full', 'simple']).default('full'),
    matrix: seriesSchema,
    truth: seriesSchema,
    lambda: z.number().min(0).max(1_000).optional(),
  }),
  /** CEL over `query`, `answer`, `score`, `record` (inputs, outputs, text, legal, turn, tokens) and `records`. */
  z.object({ kind: z.literal('cel'), expression: z.string().max(4_000) }),
  /** A function in JavaScript of one object with the same names, run in the sandbox: `({ score, record }) => score.f1`. */
  z.object({
    kind: z.literal('javascript'),
    source: z.string().min(1).max(20_000),
    timeMs: z.int().min(1).max(10_000).default(1_000),
    memoryMb: z.int().min(16).max(512).default(64),
  }),
]);

export const rewardRuleSchema = z.object({
  id: z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/),
  level: z.enum(rewardLevels),
  /** Roles whose records receive it; every trainable role when absent. */
  roles: z.array(z.string()).optional(),
  /** Turn (visit) of the role, for level `turn`; every turn when absent. */
  turn: z.int().min(0).optional(),
  value: rewardValueSchema,
  weight: z.number().default(1),
  /** Trajectory level: give the value to every record, or split it equally. */
  share: z.enum(['full', 'split']).default('full'),
});

/** Version 2 added the values `own`, `last`, `change`, `cure` and `javascript`; all of version 1 means what it meant. */
export const REWARDS_VERSION = 2;

export const rewardsSchema = z.object({
  troupe: z.literal('rewards').default('rewards'),
  version: z
    .literal([1, REWARDS_VERSION])
    .transform((): typeof REWARDS_VERSION => REWARDS_VERSION)
    .default(REWARDS_VERSION),
  rules: z.array(rewardRuleSchema).max(64),
  /** w_fmt: an illegal output costs this much. */
  formatWeight: z.number().min(0).max(100).default(1),
});

export type Series = z.infer<typeof seriesSchema>;
export type RewardValue = z.infer<typeof rewardValueSchema>;
export type RewardRule = z.infer<typeof rewardRuleSchema>;
export type Rewards = z.infer<typeof rewardsSchema>;
