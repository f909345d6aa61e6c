/**
 * What GGUF metadata and tensors mean to a model: its configuration, the Hugging Face name of each tensor, and the row
 * order of q and k, which the llama architecture stores for interleaved rotary pairs.
 */
import { UserError } from '../errors.ts';
import type { Architecture } from '../protocol.ts';
import { checkConfig, ropeFrequencies, type ModelConfig, type RopeScaling } from './config.ts';
import { readGgufTensor, type GgufFile } from './gguf.ts';
import { realNumber, show, wholeNumber, type JsonObject } from './json.ts';

const ARCHITECTURES: readonly string[] = ['llama', 'qwen2', 'qwen3'] satisfies Architecture[];

/** The model's configuration; `rope_freqs.weight`, which Llama 3 files carry, is read for its scaling. */
export async function readGgufConfig(file: GgufFile): Promise<ModelConfig> {
  const name = file.source.name;
  const architecture = file.metadata.get('general.architecture');
  if (typeof architecture !== 'string' || !ARCHITECTURES.includes(architecture))
    throw new UserError(
      `${name}: models of type ${show(architecture)} cannot be run here; choose a Llama, Qwen2, Qwen2.5 or Qwen3 model`,
    );
  const all: JsonObject = Object.fromEntries(file.metadata);
  const own: JsonObject = Object.fromEntries(
    [...file.metadata]
      .filter(([key]) => key.startsWith(`${architecture}.`))
      .map(([key, value]) => [key.slice(architecture.length + 1), value]),
  );
  if (wholeNumber(name, own, 'expert_count', 0, 65536, 0) > 0)
    throw new UserError(
      `${name}: mixture-of-experts models are not supported: ${show(own['expert_count'])} experts; choose a dense model`,
    );
  const heads = wholeNumber(name, own, 'attention.head_count', 1, 1024);
  const hidden = wholeNumber(name, own, 'embedding_length', 1, 65536);
  const headDim = wholeNumber(name, own, 'attention.key_length', 2, 1024, hidden / heads);
  for (const field of ['attention.value_length', 'rope.dimension_count']) {
    if (wholeNumber(name, own, field, 1, 1024, headDim) !== headDim)
      throw new UserError(`${name}: ${field} must equal the head dimension ${headDim}, not ${show(own[field])}`);
  }
  const vocab = file.tensors.get('token_embd.weight')?.shape[0];
  if (vocab === undefined)
    throw new UserError(`${name} has no token_embd.weight; it is not a language model or is damaged`);
  const config = checkConfig({
    architecture: architecture as Architecture,
    hidden,
    intermediate: wholeNumber(name, own, 'feed_forward_length', 1, 1_048_576),
    layers: wholeNumber(name, own, 'block_count', 1, 1024),
    heads,
    kvHeads: wholeNumber(name, own, 'attention.head_count_kv', 1, 1024, heads),
    headDim,
    vocab,
    contextLength: wholeNumber(name, own, 'context_length', 1, 16_777_216),
    ropeTheta: realNumber(name, own, 'rope.freq_base', 1, 1e12, 10000),
    ropeScaling: linearScaling(name, own),
    rmsEps: realNumber(name, own, 'attention.layer_norm_rms_epsilon', 0, 1),
    tied: !file.tensors.has('output.weight'),
    attentionBias: architecture === 'qwen2',
    qkNorm: architecture === 'qwen3',
    eosIds: [...new Set(['eos', 'eot', 'eom'].flatMap((kind) => tokenId(name, all, kind, vocab)))],
    bosId: tokenId(name, all, 'bos', vocab)[0] ?? null,
    padId: tokenId(name, all, 'padding', vocab)[0] ?? null,
  });
  return file.tensors.has('rope_freqs.weight')
    ? { ...config, ropeScaling: llama3Scaling(name, config, await readGgufTensor(file, 'rope_freqs.weight')) }
    : config;
}

function tokenId(name: string, all: JsonObject, kind: string, vocab: number): number[] {
  const field = `tokenizer.ggml.${kind}_token_id`;
  // Converters write 2^32 - 1 for "none".
  return all[field] === undefined || all[field] === 0xffffffff ? [] : [wholeNumber(name, all, field, 0, vocab - 1)];
}

function linearScaling(name: string, own: JsonObject): RopeScaling | null {
  const kind = own['rope.scaling.type'] ?? (own['rope.scale_linear'] === undefined ? 'none' : 'linear');
  if (kind === 'none') return null;
  if (kind !== 'linear')
    throw new UserError(`${name}: the rotary scaling ${show(kind)} is not supported; none, linear and Llama 3's are`);
  const factor = realNumber(
    name,
    own,
    own['rope.scaling.factor'] === undefined ? 'rope.scale_linear' : 'rope.scaling.factor',
    1,
    1e6,
  );
  return factor === 1 ? null : { kind: 'linear', factor };
}

/**
 * The published Llama 3 scaling whose frequencies the file lists as divisors. The formula's constants are not in the
 * metadata; all Llama 3 models share them but for the factor, which is the largest divisor.
 */
function llama3Scaling(name: string, config: ModelConfig, divisors: Float32Array): RopeScaling {
  const scaling: RopeScaling = {
    kind: 'llama3',
    factor: Math.max(...divisors.subarray(0, 1024)),
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContext: 8192,
  };
  const plain = ropeFrequencies({ ...config, ropeScaling: null });
  const scaled = ropeFrequencies({ ...config, ropeScaling: scaling });
  const same =
    divisors.length === plain.length &&
    plain.every((frequency, i) => Math.abs(frequency / divisors[i] / scaled[i] - 1) < 1e-3);
  if (!same)
    throw new UserError(
      `${name}: the rotary frequencies listed in it follow no scaling known here; take a safetensors version of the model`,
    );
  return scaling;
}

const TOP: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};
const IN_LAYER: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
};

/** GGUF's name of a Hugging Face parameter: model.layers.3.self_attn.q_proj.weight is blk.3.attn_q.weight. */
export function ggufName(parameter: string): string {
  const dot = parameter.lastIndexOf('.');
  const [module, kind] = [parameter.slice(0, dot), parameter.slice(dot)];
  const layer = /^model\.layers\.(\d+)\.(.+)$/.exec(module);
  return (layer ? `blk.${layer[1]}.${IN_LAYER[layer[2]]}` : TOP[module]) + kind;
}

/** A parameter in Hugging Face's row order. // [elements] */
export async function readGgufParameter(file: GgufFile, config: ModelConfig, parameter: string): Promise<Float32Array> {
  const stored = await readGgufTensor(file, ggufName(parameter));
  const rotated = config.architecture === 'llama' && /\.(q|k)_proj\./.exec(parameter);
  if (!rotated) return stored;
  return unpermuteRows(stored, rotated[1] === 'q' ? config.heads : config.kvHeads, config.headDim);
}

/**
 * Undoes the row order of rotary pairs: within each head, stored row 2j + p is row p * headDim/2 + j.
 * rows: [heads * headDim, columns]
 */
export function unpermuteRows(rows: Float32Array, heads: number, headDim: number): Float32Array {
  const out = new Float32Array(rows.length);
  const columns = rows.length / (heads * headDim);
  const half = headDim / 2;
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < headDim; row++) {
      const from = (head * headDim + row) * columns;
      const to = head * headDim + (row & 1) * half + (row >> 1);
      out.set(rows.subarray(from, from + columns), to * columns);
    }
  }
  return out;
}
