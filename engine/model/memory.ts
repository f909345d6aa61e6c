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
  const activations = MICRO_BATCH_TOKENS * activationBytesPerToken(config, TRAIN_LENGTH);
  const adapter = loraParameters(config, LORA_RANK) * FLOAT;
  return {
    run: weights + RUN_SEQUENCES * (RUN_POSITIONS * cacheBytesPerToken(config) + config.vocab * FLOAT),
    // base and own weights, two moments, a summed gradient and that of the running micro-batch
    trainFull: 6 * weights + activations,
    trainLora: weights + 5 * adapter + activations,
  };
}

/**
 * What training keeps of one token until its backward pass (lean-block.ts): per layer its input and the input of the
 * feed-forward part with one gradient, queries and mixed values, keys and values, gate and up, and the attention weights;
 * a quarter more for what one layer works with meanwhile. `length` is the longest sequence.
 */
function activationBytesPerToken(config: ModelConfig, length: number): number {
  const heads = 2 * (config.heads + config.kvHeads) * config.headDim;
  return 1.25 * FLOAT * config.layers * (3 * config.hidden + heads + 2 * config.intermediate + config.heads * length);
}

const WASM_HEAP_BYTES = 0.95 * 2 ** 32;
/** Chunks of logits and their gradients. */
const HEAD_BYTES = 512 * 2 ** 20;

/**
 * Tokens of one micro-batch that fit into WebAssembly's 4 GiB beside `heldBytes` of weights and gradients; at least 1. A
 * function of its arguments alone, so that a resumed run cuts its batches as the first did.
 */
export function tokensThatFit(config: ModelConfig, heldBytes: number, length: number): number {
  const free = WASM_HEAP_BYTES - Math.min(HEAD_BYTES, 64 * config.vocab * length * FLOAT) - heldBytes;
  return Math.max(1, Math.floor(free / activationBytesPerToken(config, length)));
}

function loraParameters(config: ModelConfig, rank: number): number {
  let sum = 0;
  for (const [name, shape] of parameterShapes(config)) {
    if (LINEAR_LAYERS.some((linear) => name.endsWith(`${linear}.weight`))) sum += rank * (shape[0] + shape[1]);
  }
  return sum;
}
