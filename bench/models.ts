/**
 * The models whose shapes are measured, with random weights: speed does not depend on what a weight is, and no file has to
 * travel. None has an end token, so every sequence runs to its length.
 */
import * as tf from '@tensorflow/tfjs';
import { UserError } from '../engine/errors.ts';
import { parameterShapes, type ModelConfig } from '../engine/formats/config.ts';
import type { Weights } from '../engine/model/trunk.ts';

const ENDLESS = { eosIds: [], bosId: null, padId: null } as const;
const LLAMA = { architecture: 'llama', ropeScaling: null, tied: true, attentionBias: false, qkNorm: false } as const;

/** By name; parameters: 0.85M, 25.8M, 134.5M and 494M. */
const SHAPES: Readonly<Record<string, ModelConfig>> = {
  nano: {
    ...{ ...LLAMA, ...ENDLESS, hidden: 128, intermediate: 344, layers: 4, heads: 4, kvHeads: 2, headDim: 32 },
    ...{ vocab: 506, contextLength: 32768, ropeTheta: 1e4, rmsEps: 1e-6 },
  },
  'minimind2-small': {
    ...{ ...LLAMA, ...ENDLESS, hidden: 512, intermediate: 1408, layers: 8, heads: 8, kvHeads: 2, headDim: 64 },
    ...{ vocab: 6400, contextLength: 32768, ropeTheta: 1e6, rmsEps: 1e-5 },
  },
  'smollm2-135m': {
    ...{ ...LLAMA, ...ENDLESS, hidden: 576, intermediate: 1536, layers: 30, heads: 9, kvHeads: 3, headDim: 64 },
    ...{ vocab: 49152, contextLength: 8192, ropeTheta: 1e5, rmsEps: 1e-5 },
  },
  'qwen2.5-0.5b': {
    ...{ ...LLAMA, ...ENDLESS, hidden: 896, intermediate: 4864, layers: 24, heads: 14, kvHeads: 2, headDim: 64 },
    ...{ architecture: 'qwen2', attentionBias: true },
    ...{ vocab: 151936, contextLength: 32768, ropeTheta: 1e6, rmsEps: 1e-6 },
  },
};

export const MODEL_NAMES = Object.keys(SHAPES);

export function shapeNamed(name: string): ModelConfig {
  const config = SHAPES[name];
  if (!config) throw new UserError(`no shape named ${name}; choose of ${MODEL_NAMES.join(', ')}`);
  return config;
}

export function parametersOf(config: ModelConfig): number {
  return [...parameterShapes(config).values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
}

/** float32, on the open device. */
export function randomWeights(config: ModelConfig): Weights {
  return Object.fromEntries(
    [...parameterShapes(config)].map(([name, shape], i) => [
      name,
      name.includes('norm') ? tf.ones([...shape]) : tf.randomUniform([...shape], -0.05, 0.05, 'float32', i),
    ]),
  );
}
