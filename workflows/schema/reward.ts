/**
 * Rewards as a user defines them: rules that read a finished trace and give values to single records, at role, turn or
 * trajectory level. A record's reward is the weighted sum of its rules' values plus the format term; every term is kept.
 */
import { z } from 'zod';

export const rewardLevels = ['role', 'turn', 'trajectory'] as const;

export const rewardRuleSchema = z.object({
  id: z.string().regex(/^[a-z][a-z0-9_-]{0,63}$/),
  level: z.enum(rewardLevels),
  /** Roles whose records receive it; every trainable role when absent. */
  roles: z.array(z.string()).optional(),
  /** Turn (visit) of the role, for level `turn`; every turn when absent. */
  turn: z.int().min(0).optional(),
  value: z.discriminatedUnion('kind', [
    /** The task's own score of the final answer: `f1`, `em`, … */
    z.object({ kind: z.literal('score'), metric: z.string() }),
    /** CEL over `query`, `answer`, `score`, `record` (inputs, outputs, text, legal, turn, tokens) and `records`. */
    z.object({ kind: z.literal('cel'), expression: z.string().max(4_000) }),
  ]),
  weight: z.number().default(1),
  /** Trajectory level: give the value to every record, or split it equally. */
  share: z.enum(['full', 'split']).default('full'),
});

export const REWARDS_VERSION = 1;

export const rewardsSchema = z.object({
  troupe: z.literal('rewards').default('rewards'),
  version: z.literal(REWARDS_VERSION).default(REWARDS_VERSION),
  rules: z.array(rewardRuleSchema).max(64),
  /** w_fmt: an illegal output costs this much. */
  formatWeight: z.number().min(0).max(100).default(1),
});

export type RewardRule = z.infer<typeof rewardRuleSchema>;
export type Rewards = z.infer<typeof rewardsSchema>;
