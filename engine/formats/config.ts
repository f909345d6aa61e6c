/**
 * A model's shape. `ModelConfig` is what the decoder is built from, whether it came from a Hugging Face config.json (here)
 * or from GGUF metadata (gguf-config.ts). Every number is bounded; what the decoder cannot do is refused in one sentence.
 * Context lengths are tokens.
 */
import { UserError } from '../errors.ts';
import type { Architecture } from '../protocol.ts';
import { isObject, realNumber, show, truth, wholeNumber, type JsonObject } from './json.ts';

/** How rotary frequencies are stretched for longer contexts. */
export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    };

export type ModelConfig = {
  readonly architecture: Architecture;
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
  readonly contextLength: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | null;
  readonly rmsEps: number;
  /** The output matrix is the embedding. */
  readonly tied: boolean;
  /** q, k and v projections have a bias (qwen2). */
  readonly attentionBias: boolean;
  /** q and k are RMS-normalised per head before the rotation (qwen3). */
  readonly qkNorm: boolean;
  readonly eosIds: readonly number[];
  readonly bosId: number | null;
  readonly padId: number | null;
};

const FILE = 'config.json';
const ARCHITECTURES: readonly string[] = ['llama', 'qwen2', 'qwen3'] satisfies Architecture[];

/** Reads config.json, and the end ids of generation_config.json where there is one. */
export function readConfig(json: JsonObject, generation: JsonObject | null = null): ModelConfig {
  const architecture = readArchitecture(json);
  refuseUnsupported(json, architecture);
  const heads = wholeNumber(FILE, json, 'num_attention_heads', 1, 1024);
  const hidden = wholeNumber(FILE, json, 'hidden_size', 1, 65536);
  if (json['head_dim'] == null && hidden % heads !== 0)
    throw new UserError(`${FILE}: hidden_size ${hidden} is not a multiple of num_attention_heads ${heads}`);
  const layers = wholeNumber(FILE, json, 'num_hidden_layers', 1, 1024);
  refuseSlidingWindow(json, layers);
  const vocab = wholeNumber(FILE, json, 'vocab_size', 1, 4_000_000);
  return checkConfig({
    architecture,
    hidden,
    intermediate: wholeNumber(FILE, json, 'intermediate_size', 1, 1_048_576),
    layers,
    heads,
    kvHeads: wholeNumber(FILE, json, 'num_key_value_heads', 1, 1024, heads),
    headDim: wholeNumber(FILE, json, 'head_dim', 2, 1024, architecture === 'qwen3' ? 128 : hidden / heads),
    vocab,
    contextLength: wholeNumber(
      FILE,
      json,
      'max_position_embeddings',
      1,
      16_777_216,
      architecture === 'llama' ? 2048 : 32768,
    ),
    ...readRope(json),
    rmsEps: realNumber(FILE, json, 'rms_norm_eps', 0, 1, 1e-6),
    tied: truth(FILE, json, 'tie_word_embeddings', false),
    attentionBias: architecture === 'qwen2',
    qkNorm: architecture === 'qwen3',
    eosIds: [
      ...new Set([
        ...readIds(FILE, json, 'eos_token_id', vocab),
        ...(generation ? readIds('generation_config.json', generation, 'eos_token_id', vocab) : []),
      ]),
    ],
    bosId: readIds(FILE, json, 'bos_token_id', vocab)[0] ?? null,
    padId: readIds(FILE, json, 'pad_token_id', vocab)[0] ?? null,
  });
}

/** The relations between numbers that hold whatever file they came from. */
export function checkConfig(config: ModelConfig): ModelConfig {
  if (config.heads % config.kvHeads !== 0)
    throw new UserError(
      `The model's ${config.heads} attention heads cannot share ${config.kvHeads} key-value heads; its configuration is damaged`,
    );
  if (config.headDim % 2 !== 0)
    throw new UserError(
      `The model's head dimension must be even for rotary positions, not ${config.headDim}; its configuration is damaged`,
    );
  return config;
}

function readArchitecture(json: JsonObject): Architecture {
  const type = json['model_type'];
  if (typeof type !== 'string' || !ARCHITECTURES.includes(type))
    throw new UserError(
      `Models of type ${show(type)} cannot be run here; choose a Llama, Qwen2, Qwen2.5 or Qwen3 model`,
    );
  return type as Architecture;
}

function refuseUnsupported(json: JsonObject, architecture: Architecture): void {
  if (json['quantization_config'] != null)
    throw new UserError(
      'This Hugging Face checkpoint is quantised, which is not read here; take the original weights or a GGUF file',
    );
  const activation = json['hidden_act'] ?? 'silu';
  if (activation !== 'silu') throw new UserError(`The activation ${show(activation)} is not supported; only silu is`);
  if (architecture !== 'qwen2' && truth(FILE, json, 'attention_bias', false))
    throw new UserError(
      `Attention biases in a ${architecture} model are not supported; choose a model with attention_bias false`,
    );
  if (truth(FILE, json, 'mlp_bias', false))
    throw new UserError('Biases in the feed-forward layers are not supported; choose a model with mlp_bias false');
  const experts = json['num_experts'] ?? json['num_local_experts'];
  if (experts != null)
    throw new UserError(`Mixture-of-experts models are not supported: ${show(experts)} experts; choose a dense model`);
  if (realNumber(FILE, json, 'partial_rotary_factor', 0, 1, 1) !== 1)
    throw new UserError(`Partial rotary embeddings are not supported: ${show(json['partial_rotary_factor'])}`);
}

/** Qwen2 configs name a sliding window they do not use; only one in use is refused. */
function refuseSlidingWindow(json: JsonObject, layers: number): void {
  const types = json['layer_types'];
  const sliding = Array.isArray(types) && types.some((type) => type !== 'full_attention');
  const windowed =
    truth(FILE, json, 'use_sliding_window', false) &&
    json['sliding_window'] != null &&
    wholeNumber(FILE, json, 'max_window_layers', 0, 4096, 28) < layers;
  if (sliding || windowed)
    throw new UserError(
      `Sliding-window attention is not supported: a window of ${show(json['sliding_window'])} tokens is in use; choose a model with full attention`,
    );
}

/** transformers 5 keeps rope_parameters; earlier versions rope_theta beside rope_scaling. */
function readRope(json: JsonObject): { ropeTheta: number; ropeScaling: RopeScaling | null } {
  const nested = json['rope_parameters'];
  if (nested != null && !isObject(nested))
    throw new UserError(`${FILE}: rope_parameters must be an object, not ${show(nested)}`);
  const scaling = nested ?? json['rope_scaling'] ?? {};
  if (!isObject(scaling)) throw new UserError(`${FILE}: rope_scaling must be an object, not ${show(scaling)}`);
  const holder = isObject(nested) && nested['rope_theta'] != null ? nested : json;
  const ropeTheta = realNumber(FILE, holder, 'rope_theta', 1, 1e12, 10000);
  const kind = scaling['rope_type'] ?? scaling['type'] ?? 'default';
  switch (kind) {
    case 'default':
      return { ropeTheta, ropeScaling: null };
    case 'linear':
      return { ropeTheta, ropeScaling: { kind: 'linear', factor: realNumber(FILE, scaling, 'factor', 1, 1e6) } };
    case 'llama3': {
      const lowFreqFactor = realNumber(FILE, scaling, 'low_freq_factor', 1e-6, 1e6);
      const highFreqFactor = realNumber(FILE, scaling, 'high_freq_factor', 1e-6, 1e6);
      if (highFreqFactor <= lowFreqFactor)
        throw new UserError(
          `${FILE}: high_freq_factor must be greater than low_freq_factor ${lowFreqFactor}, not ${highFreqFactor}`,
        );
      const originalContext = wholeNumber(FILE, scaling, 'original_max_position_embeddings', 1, 16_777_216);
      return {
        ropeTheta,
        ropeScaling: {
          kind: 'llama3',
          factor: realNumber(FILE, scaling, 'factor', 1, 1e6),
          lowFreqFactor,
          highFreqFactor,
          originalContext,
        },
      };
    }
    default:
      throw new UserError(`The rotary scaling ${show(kind)} is not supported; default, linear and llama3 are`);
  }
}

function readIds(file: string, json: JsonObject, field: string, vocab: number): number[] {
  const value = json[field];
  if (value == null) return [];
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (ids.length > 64) throw new UserError(`${file}: ${field} lists ${ids.length} ids, at most 64 are taken`);
  // Some published configs use -1 for "none".
  return ids
    .filter((id) => id !== -1)
    .map((id) => {
      if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocab)
        throw new UserError(`${file}: ${field} must be below the vocabulary size ${vocab}, not ${show(id)}`);
      return id;
    });
}

/**
 * Rotary angular frequencies. // [headDim / 2]
 * Source: Su et al. 2021 (RoFormer) eq. 15; the llama3 stretch is the one published with Llama 3.1: wavelengths longer
 * than context / low are divided by the factor, shorter than context / high kept, those between interpolated.
 */
export function ropeFrequencies(config: ModelConfig): Float32Array {
  const half = config.headDim / 2;
  const scaling = config.ropeScaling;
  return Float32Array.from({ length: half }, (_, i) => {
    const frequency = config.ropeTheta ** (-i / half);
    if (scaling === null) return frequency;
    if (scaling.kind === 'linear') return frequency / scaling.factor;
    const turns = (scaling.originalContext * frequency) / (2 * Math.PI);
    const keep = Math.min(
      1,
      Math.max(0, (turns - scaling.lowFreqFactor) / (scaling.highFreqFactor - scaling.lowFreqFactor)),
    );
    return keep * frequency + (1 - keep) * (frequency / scaling.factor);
  });
}

/** Every parameter of the model by its Hugging Face name, with its shape, in layer order. */
export function parameterShapes(config: ModelConfig): Map<string, readonly number[]> {
  const { hidden, intermediate, headDim } = config;
  const q = config.heads * headDim;
  const kv = config.kvHeads * headDim;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [config.vocab, hidden]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [hidden]);
    shapes.set(`${at}.self_attn.q_proj.weight`, [q, hidden]);
    shapes.set(`${at}.self_attn.k_proj.weight`, [kv, hidden]);
    shapes.set(`${at}.self_attn.v_proj.weight`, [kv, hidden]);
    if (config.attentionBias) {
      shapes.set(`${at}.self_attn.q_proj.bias`, [q]);
      shapes.set(`${at}.self_attn.k_proj.bias`, [kv]);
      shapes.set(`${at}.self_attn.v_proj.bias`, [kv]);
    }
    if (config.qkNorm) {
      shapes.set(`${at}.self_attn.q_norm.weight`, [headDim]);
      shapes.set(`${at}.self_attn.k_norm.weight`, [headDim]);
    }
    shapes.set(`${at}.self_attn.o_proj.weight`, [hidden, q]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [hidden]);
    shapes.set(`${at}.mlp.gate_proj.weight`, [intermediate, hidden]);
    shapes.set(`${at}.mlp.up_proj.weight`, [intermediate, hidden]);
    shapes.set(`${at}.mlp.down_proj.weight`, [hidden, intermediate]);
  }
  shapes.set('model.norm.weight', [hidden]);
  if (!config.tied) shapes.set('lm_head.weight', [config.vocab, hidden]);
  return shapes;
}
