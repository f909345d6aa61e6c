/**
 * nano's files before any training: configuration and seeded weights over the words of village-qa, and the same model made
 * wider, with rows for words it meets later. Knows nothing of what is taught.
 */
import { fromBytes } from '../engine/formats/bytes-source.ts';
import { openSafetensors, readFloats } from '../engine/formats/safetensors.ts';
import { writeSafetensors, type TensorOut } from '../engine/formats/safetensors-write.ts';
import type { FileOut } from '../engine/protocol.ts';
import { generator } from '../workflows/random.ts';
import { nanoTokenizer } from './nano-tokenizer.ts';

const shape = { hidden: 128, intermediate: 344, layers: 4, heads: 4, kvHeads: 2 };
const embedding = 'model.embed_tokens.weight';
const weightsFile = 'model.safetensors';

/** A model folder with weights drawn from a seed. */
export function untrained(seed: number, vocabulary: readonly string[]): FileOut[] {
  return [...wordFiles(vocabulary), { name: weightsFile, bytes: writeSafetensors(initialWeights(seed, vocabulary)) }];
}

/** The model with a vocabulary that begins with its own; its weights stay, new words get small seeded rows. */
export async function widened(
  files: readonly FileOut[],
  seed: number,
  vocabulary: readonly string[],
): Promise<FileOut[]> {
  const source = await openSafetensors(fromBytes(weightsFile, files.find(({ name }) => name === weightsFile)!.bytes));
  const tensors = await Promise.all(
    [...source.entries.values()].map(async ({ name, shape }): Promise<TensorOut> => ({
      name,
      shape,
      data: await readFloats(source, name),
    })),
  );
  const wider = tensors.map((tensor) => {
    if (tensor.name !== embedding) return tensor;
    const data = new Float32Array(vocabulary.length * shape.hidden);
    data.set(tensor.data);
    data.set(small(generator(seed + 18), data.length - tensor.data.length), tensor.data.length);
    return { ...tensor, shape: [vocabulary.length, shape.hidden], data };
  });
  return [...wordFiles(vocabulary), { name: weightsFile, bytes: writeSafetensors(wider) }];
}

/** The folder's files that depend on the vocabulary alone. */
function wordFiles(vocabulary: readonly string[]): FileOut[] {
  const { tokenizer, config } = nanoTokenizer(vocabulary);
  const json = (name: string, value: object): FileOut => ({
    name,
    bytes: new TextEncoder().encode(JSON.stringify(value, null, 1) + '\n'),
  });
  return [
    json('config.json', nanoConfig(vocabulary.length)),
    json('tokenizer.json', tokenizer),
    json('tokenizer_config.json', config),
    json('generation_config.json', { eos_token_id: 2, pad_token_id: 0 }),
  ];
}

function nanoConfig(words: number): object {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: words,
    hidden_size: shape.hidden,
    intermediate_size: shape.intermediate,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.hidden / shape.heads,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    hidden_act: 'silu',
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    bos_token_id: null,
    eos_token_id: 2,
    pad_token_id: 0,
    torch_dtype: 'float32',
  };
}

/** Normal(0, 0.02), by Box–Muller. */
function small(random: () => number, count: number): Float32Array {
  return Float32Array.from(
    { length: count },
    () => 0.02 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** Small normal matrices, unit norms. */
function initialWeights(seed: number, vocabulary: readonly string[]): TensorOut[] {
  const random = generator(seed + 17);
  const matrix = (name: string, rows: number, columns: number) => ({
    name,
    shape: [rows, columns],
    data: small(random, rows * columns),
  });
  const ones = (name: string) => ({ name, shape: [shape.hidden], data: new Float32Array(shape.hidden).fill(1) });
  const kv = (shape.hidden / shape.heads) * shape.kvHeads;
  const layer = (i: number) => {
    const at = (part: string) => `model.layers.${i}.${part}.weight`;
    return [
      ones(at('input_layernorm')),
      matrix(at('self_attn.q_proj'), shape.hidden, shape.hidden),
      matrix(at('self_attn.k_proj'), kv, shape.hidden),
      matrix(at('self_attn.v_proj'), kv, shape.hidden),
      matrix(at('self_attn.o_proj'), shape.hidden, shape.hidden),
      ones(at('post_attention_layernorm')),
      matrix(at('mlp.gate_proj'), shape.intermediate, shape.hidden),
      matrix(at('mlp.up_proj'), shape.intermediate, shape.hidden),
      matrix(at('mlp.down_proj'), shape.hidden, shape.intermediate),
    ];
  };
  return [
    matrix(embedding, vocabulary.length, shape.hidden),
    ...Array.from({ length: shape.layers }, (_, i) => layer(i)).flat(),
    ones('model.norm.weight'),
  ];
}
