/**
 * How much memory a model will take, by formula, before it is loaded. Everything is float32. The figures are for a person
 * choosing a model: they count what is certain (weights, optimiser, cache) and the large activations of one micro-batch.
 */
import type { ModelConfig } from '../formats/config.ts';
import { LINEAR_LAYERS } from '../formats/peft.ts';
import { parameterShapes } from '../formats/config.ts';
import type { ModelInfo } from '../protocol.ts';

const FLOAT = 4;
const RUN_SEQUENCES = 16;
const RUN_POSITIONS = 512;
const MICRO_BATCH_TOKENS = 4096;
const TRAIN_LENGTH = 256;
const LORA_RANK = 16;

/** Key and value bytes of one position. */
export function cacheBytesPerToken(config: ModelConfig): number {
  return config.layers * config.kvHeads * config.headDim * 2 * FLOAT;
}

export function estimateMemory(config: ModelConfig, parameters: number): ModelInfo['memory'] {
  const weights = parameters * FLOAT;
  const activations = MICRO_BATCH_TOKENS * activationBytesPerToken(config);
  const adapter = loraParameters(config, LORA_RANK) * FLOAT;
  return {
    run: weights + RUN_SEQUENCES * (RUN_POSITIONS * cacheBytesPerToken(config) + config.vocab * FLOAT),
    // base and own weights, two moments, a summed gradient and that of the running micro-batch
    trainFull: 6 * weights + activations,
    trainLora: weights + 5 * adapter + activations,
  };
}

/** What the tape keeps of one token: per layer some hidden-sized, head-sized and feed-forward-sized rows and the attention weights. */
function activationBytesPerToken(config: ModelConfig): number {
  const heads = (config.heads + 2 * config.kvHeads) * config.headDim;
  const layer = 8 * config.hidden + 5 * heads + 5 * config.intermediate + 3 * config.heads * TRAIN_LENGTH;
  return FLOAT * layer * config.layers;
}

function loraParameters(config: ModelConfig, rank: number): number {
  let sum = 0;
  for (const [name, shape] of parameterShapes(config)) {
    if (LINEAR_LAYERS.some((linear) => name.endsWith(`${linear}.weight`))) sum += rank * (shape[0] + shape[1]);
  }
  return sum;
}
