/**
 * Device memory of one training step by part, known before it begins: what the pools of buffers will have grown to. An upper
 * bound by formula, for a person and for measurements; everything is float32 but, where asked for, what flows.
 */
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import type { ActivationPrecision } from '../protocol.ts';
import { activationOf } from './activation.ts';
import { CHUNK_NUMBERS } from './training-attention.ts';
import { STRETCH_NUMBERS } from './fused-head.ts';
import { keptBytes, KEEP_BYTES } from './training-pass.ts';

export type TrainingLoad = {
  /** Rows of a micro-batch, and how many of them are response tokens. */
  readonly rows: number;
  readonly asked: number;
  /** Trainable parameters. */
  readonly trained: number;
  /** How exact what flows between kernels is; 'f32' when absent. */
  readonly activations?: ActivationPrecision;
  /** Whether the operands of products lie in textures, too. */
  readonly texels?: boolean;
};

export type TrainingBytes = {
  readonly weights: number;
  /** Trained parameters and their cuts, two moments, the summed gradient and a micro-batch's. */
  readonly optimiser: number;
  /** What layers keep for the backward pass. */
  readonly kept: number;
  /** What lies between the steps of one layer, forward or backward. */
  readonly working: number;
  readonly scores: number;
  readonly head: number;
  readonly texels: number;
  readonly total: number;
};

export function trainingBytes(
  config: ModelConfig,
  { rows, asked, trained, activations = 'f32', texels = false }: TrainingLoad,
): TrainingBytes {
  const { hidden, intermediate, heads, kvHeads, headDim, layers, vocab } = config;
  const parameters = [...parameterShapes(config).values()].reduce(
    (sum, shape) => sum + shape.reduce((a, b) => a * b),
    0,
  );
  const flow = activationOf(activations).bytes;
  const whole = keptBytes(config, rows, flow);
  const inputs = 4 * layers * rows * hidden;
  const logits = Math.min(STRETCH_NUMBERS, asked * vocab);
  // Two operands of the layers' largest product, and two of the head's. Those of halves have textures of their own.
  const ofLayers = 2 * intermediate * Math.max(rows, hidden);
  const ofHead = logits + (logits / asked) * hidden;
  const operands =
    flow === 4 ? 4 * (ofLayers + ofHead) : 4 * (hidden * (intermediate + rows) + ofHead) + 2 * 2 * intermediate * rows;
  const parts = {
    weights: 4 * parameters,
    // A gradient lies once by name and once in the flat order before it is added to the sum.
    optimiser: 4 * trained * 7,
    kept: whole <= KEEP_BYTES ? whole : inputs + whole / layers,
    working: rows * (8 * hidden + flow * (2 * intermediate + 2 * hidden + 4 * heads * headDim + 4 * kvHeads * headDim)),
    scores: 3 * 4 * CHUNK_NUMBERS,
    head: 4 * (Math.min(STRETCH_NUMBERS, 2 * asked * vocab) + 4 * asked * hidden),
    texels: texels ? operands : 0,
  };
  return { ...parts, total: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0) };
}
