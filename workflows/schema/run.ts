/**
 * A run's frozen configuration (run.json) and what it writes each step (metrics.jsonl). Whatever depends on the clock
 * stands in `timing`, so that two runs of one seed can be compared line by line.
 */
import { z } from 'zod';
import { castSchema } from './cast.ts';
import { workflowSchema } from './workflow.ts';

/** One round of fine-tuning on what went well: what is kept of a rollout, and how it is learned. */
export const tuneSchema = z.strictObject({
  /** Traces that score at least this (by what the task is scored by) are kept. */
  minScore: z.number().min(0).max(1).default(1),
  /** Records whose own reward is at least this; all when absent. */
  minReward: z.number().optional(),
  /** Only legal outputs. */
  legal: z.boolean().default(true),
  /** Traces of each question that are kept at most, the best first; 0 keeps all. */
  best: z.int().min(0).max(256).default(4),
  /** The same text for the same prompt is learned once a round. */
  dedupe: z.boolean().default(true),
  /** Of written teams: like questions have like teams (`inter`), a team agrees with itself (`intra`). */
  consistency: z.enum(['none', 'inter', 'intra', 'both']).default('both'),
  /** Passes over what was kept, and examples in each step of the optimiser. */
  epochs: z.int().min(1).max(100).default(2),
  batch: z.int().min(1).max(4_096).default(32),
  /** The engine's SftSettings; warm-up and decay count rounds. */
  lr: z.number(),
  lrWarmup: z.number(),
  lrDecay: z.enum(['constant', 'linear']),
  totalSteps: z.number(),
  weightDecay: z.number(),
  maxGradNorm: z.number(),
  tokenBudget: z.number(),
});

export const branchingSchema = z.union([z.boolean(), z.literal('best')]);

export const trainSettingsSchema = z.object({
  steps: z.int().min(1).max(1_000_000),
  queries: z.int().min(1).max(4_096).describe('queries a step'),
  /** Samples of each query in a step; 1 when absent. */
  samples: z.int().min(1).max(256).optional(),
  /** Whether samples after the first branch off it, or off the best so far, instead of being independent. */
  branch: branchingSchema.optional(),
  evalEvery: z.int().min(1),
  evalLimit: z.int().min(1),
  checkpointEvery: z.int().min(1),
  /** `best` (when absent): the newest and the best checkpoint stay; `all`: every `checkpointEvery`-th as well. */
  keepCheckpoints: z.enum(['best', 'all']).optional(),
  seed: z.int().min(0).max(0xffffffff),
  /** Device memory that it may take, on whatever machine it is begun or resumed; without it, as much as it needs. */
  memoryGiB: z.number().optional(),
  /** The engine's PpoSettings, checked by the engine; empty where the run learns otherwise. */
  ppo: z.record(z.string(), z.json()),
  /** There where steps are rounds of supervised fine-tuning on what went well, instead of PPO. */
  sft: tuneSchema.optional(),
});

export const RUN_VERSION = 1;
/** Where a branch left another run, and whose weights each of its policies began with; the others began untrained. */
const branchPointSchema = z.object({
  run: z.string(),
  step: z.int().min(1),
  weights: z.record(z.string(), z.string()),
});

export const runSchema = z.object({
  troupe: z.literal('run'),
  version: z.literal(RUN_VERSION),
  id: z.string(),
  created: z.string(),
  /** What people call it, and what they wrote on it: no part of what was set. */
  title: z.string(),
  note: z.string().max(10_000).optional(),
  workflow: workflowSchema,
  cast: castSchema,
  task: z.object({
    name: z.string(),
    path: z.string().optional(),
    corpus: z.string().optional(),
    options: z.record(z.string(), z.json()).default({}),
  }),
  settings: trainSettingsSchema,
  /** A branch has the other run's metrics up to that step, and its checkpoint of it as its own first one. */
  from: branchPointSchema.optional(),
  /** Whether its tools may read the web, by the hosts their nodes name. */
  web: z.boolean().optional(),
  device: z.object({ choice: z.string(), kind: z.string(), name: z.string() }),
  software: z.record(z.string(), z.string()),
});

const scores = z.record(z.string(), z.number());

/** Held-out result: mean of each metric, plus share of legal role outputs. Runs from before `score` have F1 alone. */
export const evaluationSchema = z.object({
  f1: z.number(),
  em: z.number(),
  /** The mean of what the task is scored by, which `metric` names. */
  score: z.number().optional(),
  metric: z.string().optional(),
  /** Standard error of `score` over the questions. */
  stderr: z.number().optional(),
  /** How often tests ran for a question, where the task is scored by them. */
  rounds: z.number().optional(),
  legal: z.number(),
  n: z.int(),
  roles: z.record(z.string(), scores).default({}),
});

export const stepMetricsSchema = z.object({
  /** 0 is the evaluation before training; step k follows the k-th update. */
  step: z.int().min(0),
  /** Rollout of this step: mean task metrics, reward, legality, drops. */
  rollout: scores,
  /** Per role: reward, legal, length, records. */
  roles: z.record(z.string(), scores),
  /** Per policy: losses/approx_kl and the rest of the engine's report. */
  policies: z.record(z.string(), scores),
  eval: evaluationSchema.optional(),
  notes: z.array(z.string()).default([]),
  /** Milliseconds by phase, tokens a second, the engine's highest memory so far in bytes, wall clock. */
  timing: scores,
});

export type TuneSettings = z.infer<typeof tuneSchema>;
export type RunConfig = z.infer<typeof runSchema>;
export type Evaluation = z.infer<typeof evaluationSchema>;
export type StepMetrics = z.infer<typeof stepMetricsSchema>;
