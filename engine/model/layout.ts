/**
 * Which tensors of a policy are trainable, and where each lies in the flat variable: the model's own parameters for full
 * fine-tuning, the low-rank pairs for LoRA, and the value head behind them. Also their first values.
 */
import { UserError } from '../errors.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { LINEAR_LAYERS } from '../formats/peft.ts';
import type { PolicySpec, TrainMethod } from '../protocol.ts';
import { PURPOSE, uniformArray } from '../rollout/rng.ts';
import type { Segment } from './policy.ts';

type Lora = Extract<TrainMethod, { kind: 'lora' }>;

export const VALUE_WEIGHT = 'value_head.weight';
export const VALUE_BIAS = 'value_head.bias';
const RANK_MAX = 1024;

export function layoutOf(spec: PolicySpec, config: ModelConfig): Segment[] {
  const shapes: [name: string, shape: readonly number[], part: Segment['part']][] = [];
  if (spec.method.kind === 'full')
    for (const [name, shape] of parameterShapes(config)) shapes.push([name, shape, 'trunk']);
  else
    for (const linear of loraLinears(spec.method, config)) shapes.push(...pairShapes(linear, spec.method.rank, config));
  shapes.push([VALUE_WEIGHT, [1, config.hidden], 'value'], [VALUE_BIAS, [1], 'value']);
  let offset = 0;
  return shapes.map(([name, shape, part]) => {
    const size = shape.reduce((product, d) => product * d, 1);
    const segment: Segment = { name, shape, offset, size, part };
    offset += size;
    return segment;
  });
}

/** Linear layers that carry an adapter, by name, in layer order. Throws a UserError for settings that name none. */
export function loraLinears(method: Lora, config: ModelConfig): string[] {
  const known = LINEAR_LAYERS.map((linear) => linear.split('.')[1]);
  if (!Number.isInteger(method.rank) || method.rank < 1 || method.rank > RANK_MAX)
    throw new UserError(`LoRA rank is ${method.rank}; give a whole number from 1 to ${RANK_MAX}`);
  if (!Number.isFinite(method.alpha) || method.alpha <= 0)
    throw new UserError(`LoRA alpha is ${method.alpha}; give a number above 0`);
  for (const target of method.targets)
    if (!known.includes(target))
      throw new UserError(`LoRA target "${target}" is no linear layer; choose among ${known.join(', ')}`);
  const layers = method.layers ?? Array.from({ length: config.layers }, (_, layer) => layer);
  for (const layer of layers)
    if (!Number.isInteger(layer) || layer < 0 || layer >= config.layers)
      throw new UserError(`LoRA layer ${layer} does not exist; the model has layers 0 to ${config.layers - 1}`);
  const names = [...new Set(layers)]
    .sort((a, b) => a - b)
    .flatMap((layer) =>
      LINEAR_LAYERS.filter((linear) => method.targets.includes(linear.split('.')[1])).map(
        (linear) => `model.layers.${layer}.${linear}`,
      ),
    );
  if (names.length === 0) throw new UserError('LoRA names no layer to train; choose at least one target and one layer');
  return names;
}

function pairShapes(linear: string, rank: number, config: ModelConfig): [string, readonly number[], 'trunk'][] {
  const [out, input] = parameterShapes(config).get(`${linear}.weight`)!;
  return [
    [`${linear}.lora_A`, [rank, input], 'trunk'],
    [`${linear}.lora_B`, [out, rank], 'trunk'],
  ];
}

/**
 * First value of one segment: A uniform within ±1/sqrt(in) as PEFT has it (Kaiming with a = sqrt 5), B and the value head
 * zero. Seeded by the policy and the segment's own name, so choosing other layers changes no tensor's start.
 */
export function firstValues(segment: Segment, seed: number): Float32Array {
  if (!segment.name.endsWith('.lora_A')) return new Float32Array(segment.size);
  const bound = 1 / Math.sqrt(segment.shape[1]);
  return uniformArray(segment.size, -bound, bound, seed, hashName(segment.name), PURPOSE.adapterInit);
}

/** FNV-1a, 32 bits. */
function hashName(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
