/**
 * Device memory that a run will have taken at its peak, by part, before anything is loaded: of sampling, of training, and
 * what both leave in place for each other. An upper bound by formula from shapes and settings alone.
 */
import type { ModelConfig } from '../formats/config.ts';
import { layoutOf } from '../model/layout.ts';
import type { MemoryLoad, MemoryPlan, TrainMethod } from '../protocol.ts';
import { DEFAULT_BUDGET, LENGTH_STEP, roundUp } from '../rollout/batches.ts';
import { cacheMemory } from './fast-cache.ts';
import { packedBytes } from './packed-weights.ts';
import { PREFIX_BYTES } from '../model/prefix-store.ts';
import { trainingBytes } from './training-memory.ts';

/** maxBinding: what the device lets one binding be; texels: whether products read their operands from textures. */
export function planMemory(config: ModelConfig, load: MemoryLoad, maxBinding: number, texels = false): MemoryPlan {
  const sizes = load.policies.map((method) => trainedBy(method, config));
  const largest = Math.max(0, ...sizes);
  const partsWith = (rows: number): MemoryPlan['parts'] => {
    const { activations = 'f32' } = load;
    const { weights, ...training } = trainingBytes(config, {
      rows,
      asked: rows,
      trained: largest,
      activations,
      texels,
    });
    // The one that learns is counted with its gradients; of the others there are weights and two moments.
    const others = 12 * (sizes.reduce((sum, size) => sum + size, 0) - largest);
    const always = {
      weights,
      ...(others > 0 ? { 'other policies': others } : {}),
      'packed weights': packedBytes(config, load.rollout, maxBinding),
      'kept prompts': PREFIX_BYTES,
    };
    const { keysAndValues, workspace } = rolloutCache(config, load);
    const rollout = { ...always, policy: 12 * largest, 'keys and values': keysAndValues, 'work space': workspace };
    if (largest === 0) return { rollout };
    const { total: _, ...learning } = training;
    return { rollout, training: { ...always, ...learning } };
  };
  const peakWith = (rows: number): number =>
    Math.max(...Object.values(partsWith(rows)).map((parts) => Object.values(parts).reduce((a, b) => a + b, 0)));
  return {
    parts: partsWith(load.tokenBudget),
    peakBytes: peakWith(load.tokenBudget),
    tokenBudget: largestThatFits(load, peakWith),
  };
}

/** By halving, as a micro-batch is when memory runs out. */
function largestThatFits({ tokenBudget, mostBytes }: MemoryLoad, peakWith: (rows: number) => number): number | null {
  for (let rows = tokenBudget; rows >= 1; rows >>= 1) if (peakWith(rows) <= mostBytes) return rows;
  return null;
}

function trainedBy(method: TrainMethod | null, config: ModelConfig): number {
  if (method === null) return 0;
  const spec = { policy: 'planned', model: 'planned', method, frozen: false, seed: 0 };
  return layoutOf(spec, config).reduce((sum, { size }) => sum + size, 0);
}

/** The largest cache that a stage of these sequences may open, none of which begin alike. */
function rolloutCache(config: ModelConfig, { sequences, positions, keys }: MemoryLoad): ReturnType<typeof cacheMemory> {
  const capacity = roundUp(Math.min(positions, config.contextLength), LENGTH_STEP);
  const slots = Math.min(sequences, DEFAULT_BUDGET.slots);
  const position = config.layers * config.kvHeads * config.headDim * 2 * (keys === 'f16' ? 2 : 4);
  const room = Math.max(capacity, Math.floor(DEFAULT_BUDGET.cacheBytes / position));
  return cacheMemory(config, slots, capacity, keys, Math.min(slots * capacity, room));
}
