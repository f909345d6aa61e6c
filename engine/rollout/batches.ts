/**
 * Which requests decode together. Requests of similar prompt length share a batch, so little is padded; a batch's key-value
 * cache and its prefill stay within a memory budget. What lands together never changes a token, only the speed.
 */
import type { ModelConfig } from '../formats/config.ts';

export type Job = { readonly index: number; readonly promptLength: number; readonly newTokens: number };
export type Budget = { readonly cacheBytes: number; readonly prefillBytes: number; readonly slots: number };

export const DEFAULT_BUDGET: Budget = { cacheBytes: 768 * 2 ** 20, prefillBytes: 768 * 2 ** 20, slots: 256 };

/** Capacities and padded lengths are multiples of this, so a GPU compiles few shapes. */
export const LENGTH_STEP = 64;

export const roundUp = (length: number, step: number): number => Math.ceil(length / step) * step;

/** Positions a cache must have for these jobs. */
export function capacityOf(jobs: readonly Job[]): number {
  return roundUp(
    jobs.reduce((most, job) => Math.max(most, job.promptLength + job.newTokens), 1),
    LENGTH_STEP,
  );
}

/** Splits jobs into batches, each within the budget; a single job that exceeds it stands alone. */
export function planBatches(jobs: readonly Job[], config: ModelConfig, budget: Budget): Job[][] {
  const sorted = [...jobs].sort((a, b) => a.promptLength - b.promptLength || a.index - b.index);
  const batches: Job[][] = [];
  for (const job of sorted) {
    const last = batches.at(-1);
    if (last && fits([...last, job], config, budget)) last.push(job);
    else batches.push([job]);
  }
  return batches;
}

function fits(jobs: readonly Job[], config: ModelConfig, budget: Budget): boolean {
  if (jobs.length > budget.slots) return false;
  const cacheBytes = jobs.length * capacityOf(jobs) * config.layers * config.kvHeads * config.headDim * 2 * 4;
  return cacheBytes <= budget.cacheBytes && prefillBytes(jobs, config) <= budget.prefillBytes;
}

/** The largest tensors of one prefill layer: attention scores twice, the feed-forward's four. */
function prefillBytes(jobs: readonly Job[], config: ModelConfig): number {
  const length = jobs.reduce((most, job) => Math.max(most, job.promptLength), 1);
  const scores = jobs.length * config.heads * length * length * 2;
  return 4 * (scores + jobs.length * length * (config.intermediate * 4 + config.hidden * 4));
}
