/**
 * What may be computed together within a memory budget: sequences of similar length share a batch, so little is padded, and
 * a stage of generation has as many slots as its cache has room or pages for. What lands together never changes a token, only the
 * speed.
 */
import type { ModelConfig } from '../formats/config.ts';
import { sameLength } from '../model/prompt-tree.ts';
import type { Trunk, Wanted } from '../model/trunk.ts';

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

/** One cache's worth of generation: what may sit in it at once, the positions a slot may have, and all of them together. */
export type Stage = { readonly slots: number; readonly capacity: number; readonly positions: number };

/** The first stage for these sequences. */
export function planStage(
  wanted: readonly Wanted[],
  { config, page }: Pick<Trunk, 'config' | 'page'>,
  budget: Budget,
): Stage {
  const most = Math.floor(budget.cacheBytes / (config.layers * config.kvHeads * config.headDim * 2 * 4));
  if (page !== null) return stageOfPages(wanted, page, most, budget.slots);
  const spans = wanted.map(({ span }) => span);
  const whole = stageOfSlots(spans, most, budget.slots);
  if (whole.slots >= Math.min(spans.length, budget.slots)) return whole;
  // Only those up to twice the shortest, so that a long one does not cost all others their slots.
  const shortest = 2 * roundUp(Math.min(...spans), LENGTH_STEP);
  return stageOfSlots(spans.filter((span) => span <= shortest), most, budget.slots); // prettier-ignore
}

function stageOfSlots(spans: readonly number[], mostPositions: number, mostSlots: number): Stage {
  const capacity = capacityFor(spans);
  const slots = Math.max(1, Math.min(Math.floor(mostPositions / capacity), spans.length, mostSlots));
  return { slots, capacity, positions: slots * capacity };
}

/** As many slots as sequences from the first on find pages together. Those after them may be longer, and begin otherwise. */
function stageOfPages(wanted: readonly Wanted[], page: number, mostPositions: number, mostSlots: number): Stage {
  const capacity = capacityFor(wanted.map(({ span }) => span));
  const most = Math.max(Math.floor(mostPositions / page), Math.ceil(capacity / page));
  const together = (count: number): number => pagesTogether(wanted.slice(0, count), page);
  let [slots, beyond] = [1, Math.min(wanted.length, mostSlots) + 1];
  while (beyond - slots > 1) {
    const middle = (slots + beyond) >> 1;
    if (together(middle) <= most) slots = middle;
    else beyond = middle;
  }
  const longest = wanted.map(({ span }) => Math.ceil(span / page)).sort((a, b) => b - a).slice(0, slots); // prettier-ignore
  const pages = slots === wanted.length ? together(slots) : Math.min(most, longest.reduce((a, b) => a + b, 0)); // prettier-ignore
  return { slots, capacity, positions: Math.max(pages * page, capacity) };
}

const capacityFor = (spans: readonly number[]): number =>
  roundUp(spans.reduce((most, span) => Math.max(most, span), 1), LENGTH_STEP); // prettier-ignore

/** Pages of sequences that sit at the same time, each beginning with the whole pages it has in common with another. */
export function pagesTogether(wanted: readonly Wanted[], page: number): number {
  const sorted = [...wanted].sort((a, b) => compared(a.promptIds, b.promptIds));
  return sorted.reduce((sum, { promptIds, span }, i) => {
    const same = i === 0 ? 0 : sameLength(sorted[i - 1].promptIds, promptIds);
    return sum + Math.ceil(span / page) - Math.floor(same / page);
  }, 0);
}

function compared(a: ArrayLike<number>, b: ArrayLike<number>): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
