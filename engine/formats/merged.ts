/**
 * A whole model as a folder that Hugging Face transformers loads unchanged: config.json, generation_config.json, weights
 * in safetensors (in shards where they are large) and the tokenizer's files. Weights are asked for by name, one at a time.
 */
import type { FileOut } from '../protocol.ts';
import type { ModelConfig } from './config.ts';
import type { JsonObject } from './json.ts';
import type { ModelSource } from './model-files.ts';
import { planBytes, writeSafetensorsFrom, type TensorPlan } from './safetensors-write.ts';

/** Every browser and Node can hold a buffer of this size. */
const SHARD_MAX_BYTES = 2 ** 31 - 2 ** 20;

/** Files of `source` with the weights `read` gives. read: parameter name -> row-major float32 of the parameter's shape. */
export async function writeMerged(
  source: ModelSource,
  read: (name: string) => Promise<Float32Array>,
  as: 'F32' | 'F16' = 'F32',
  shardMaxBytes = SHARD_MAX_BYTES,
): Promise<FileOut[]> {
  const dtype = as === 'F32' ? 'float32' : 'float16';
  const config =
    source.configJson === null
      ? configJson(source.config, dtype)
      : { ...source.configJson, ['torch_dtype' in source.configJson ? 'torch_dtype' : 'dtype']: dtype };
  const generation = source.generationJson ?? generationJson(source.config);
  const tokenizer = source.hasTokenizer ? (await source.tokenizer()).files() : [];
  return [
    json('config.json', config),
    json('generation_config.json', generation),
    ...(await weightFiles(source, read, as, shardMaxBytes)),
    ...tokenizer,
  ];
}

async function weightFiles(
  source: ModelSource,
  read: (name: string) => Promise<Float32Array>,
  as: 'F32' | 'F16',
  shardMaxBytes: number,
): Promise<FileOut[]> {
  const shards = cut(
    source.tensorNames.map((name): TensorPlan => ({ name, shape: source.shape(name), type: as })),
    shardMaxBytes,
  );
  if (shards.length === 1) return [{ name: 'model.safetensors', bytes: await writeSafetensorsFrom(shards[0], read) }];
  const files: FileOut[] = [];
  const map: Record<string, string> = {};
  let total = 0;
  for (const [i, shard] of shards.entries()) {
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    files.push({ name, bytes: await writeSafetensorsFrom(shard, read) });
    for (const plan of shard) {
      map[plan.name] = name;
      total += planBytes(plan);
    }
  }
  return [...files, json('model.safetensors.index.json', { metadata: { total_size: total }, weight_map: map })];
}

const number = (n: number): string => String(n).padStart(5, '0');

/** Consecutive tensors, as many to a file as fit. */
function cut(plans: readonly TensorPlan[], maxBytes: number): TensorPlan[][] {
  const shards: TensorPlan[][] = [[]];
  let bytes = 0;
  for (const plan of plans) {
    const more = planBytes(plan);
    if (bytes > 0 && bytes + more > maxBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(plan);
    bytes += more;
  }
  return shards;
}

const CLASSES = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' } as const;

/** config.json of a model that came without one (GGUF). */
export function configJson(config: ModelConfig, dtype: 'float32' | 'float16'): JsonObject {
  return {
    architectures: [CLASSES[config.architecture]],
    model_type: config.architecture,
    hidden_size: config.hidden,
    intermediate_size: config.intermediate,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    vocab_size: config.vocab,
    max_position_embeddings: config.contextLength,
    rope_theta: config.ropeTheta,
    rope_scaling: ropeJson(config),
    rms_norm_eps: config.rmsEps,
    hidden_act: 'silu',
    tie_word_embeddings: config.tied,
    attention_dropout: 0,
    ...(config.architecture === 'qwen2' ? {} : { attention_bias: false }),
    ...(config.architecture === 'llama' ? { mlp_bias: false } : { use_sliding_window: false, sliding_window: null }),
    ...ids(config),
    torch_dtype: dtype,
    use_cache: true,
  };
}

function ropeJson({ ropeScaling }: ModelConfig): JsonObject | null {
  if (ropeScaling === null) return null;
  if (ropeScaling.kind === 'linear') return { rope_type: 'linear', factor: ropeScaling.factor };
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = ropeScaling;
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: lowFreqFactor,
    high_freq_factor: highFreqFactor,
    original_max_position_embeddings: originalContext,
  };
}

function generationJson(config: ModelConfig): JsonObject {
  return { _from_model_config: true, ...ids(config) };
}

function ids(config: ModelConfig): JsonObject {
  const [first, ...more] = config.eosIds;
  return {
    bos_token_id: config.bosId,
    eos_token_id: more.length > 0 ? config.eosIds : (first ?? null),
    pad_token_id: config.padId,
  };
}

function json(name: string, value: JsonObject): FileOut {
  return { name, bytes: new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`) };
}
