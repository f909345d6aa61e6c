/**
 * What may be computed together within a memory budget: sequences of similar length share a batch, so little is padded, and
 * a stage of generation has as many slots as its cache has room for. What lands together never changes a token, only the
 * speed.
 */
import type { ModelConfig } from '../formats/config.ts';

export type Job = { readonly index: number; readonly length: number };
export type Budget = { readonly cacheBytes: number; readonly prefillBytes: number; readonly slots: number };

export const DEFAULT_BUDGET: Budget = { cacheBytes: 768 * 2 ** 20, prefillBytes: 768 * 2 ** 20, slots: 256 };

/** Capacities and padded lengths are multiples of this, so a GPU compiles few shapes. */
export const LENGTH_STEP = 64;

export const roundUp = (length: number, step: number): number => Math.ceil(length / step) * step;

/** Splits jobs into batches of like length, each within the budget; a single job that exceeds it stands alone. */
export function planBatches(jobs: readonly Job[], config: ModelConfig, budget: Budget): Job[][] {
  const sorted = [...jobs].sort((a, b) => a.length - b.length || a.index - b.index);
  const batches: Job[][] = [];
  for (const job of sorted) {
    const last = batches.at(-1);
    if (last && prefillFits(last.length + 1, job.length, config, budget)) last.push(job);
    else batches.push([job]);
  }
  return batches;
}

/** Whether so many sequences, the longest of `length`, may pass at once. */
export function prefillFits(count: number, length: number, config: ModelConfig, budget: Budget): boolean {
  return count <= budget.slots && prefillBytes(count, length, config) <= budget.prefillBytes;
}

/** The largest tensors of one prefill layer: attention scores twice, the feed-forward's four. */
function prefillBytes(count: number, length: number, config: ModelConfig): number {
  const scores = count * config.heads * length * length * 2;
  return 4 * (scores + count * length * (config.intermediate * 4 + config.hidden * 4));
}

/** One cache's worth of generation: what may sit in it at once, and the positions each slot has. */
export type Stage = { readonly slots: number; readonly capacity: number };

/**
 * The first stage for sequences of these spans, each the positions it may come to need. Where they do not all fit at once,
 * only those up to twice the shortest are for this stage, so that a long one does not cost all others their slots.
 */
export function planStage(spans: readonly number[], config: ModelConfig, budget: Budget): Stage {
  const whole = stageFor(spans, config, budget);
  if (whole.slots >= Math.min(spans.length, budget.slots)) return whole;
  const most = 2 * roundUp(Math.min(...spans), LENGTH_STEP);
  return stageFor(
    spans.filter((span) => span <= most),
    config,
    budget,
  );
}

function stageFor(spans: readonly number[], config: ModelConfig, budget: Budget): Stage {
  const capacity = roundUp(
    spans.reduce((most, span) => Math.max(most, span), 1),
    LENGTH_STEP,
  );
  const room = Math.floor(budget.cacheBytes / (capacity * config.layers * config.kvHeads * config.headDim * 2 * 4));
  return { slots: Math.max(1, Math.min(room, spans.length, budget.slots)), capacity };
}
