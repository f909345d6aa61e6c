import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { parameterShapes, readConfig, ropeFrequencies } from './config.ts';

const LLAMA = {
  ...{
    model_type: 'llama',
    hidden_size: 64,
    intermediate_size: 176,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    vocab_size: 199,
  },
  ...{
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    eos_token_id: 2,
    bos_token_id: 1,
  },
};
const QWEN2 = { ...LLAMA, model_type: 'qwen2', use_sliding_window: false, sliding_window: 4096, max_window_layers: 2 };

describe('config.json', () => {
  it('reads a Llama', () => {
    expect(readConfig(LLAMA)).toEqual({
      ...{
        architecture: 'llama',
        hidden: 64,
        intermediate: 176,
        layers: 3,
        heads: 4,
        kvHeads: 2,
        headDim: 16,
        vocab: 199,
        contextLength: 256,
      },
      ...{
        ropeTheta: 10000,
        ropeScaling: null,
        rmsEps: 1e-5,
        tied: true,
        attentionBias: false,
        qkNorm: false,
        eosIds: [2],
        bosId: 1,
        padId: null,
      },
    });
  });

  it('joins the end ids of both files and drops "none"', () => {
    expect(readConfig({ ...LLAMA, eos_token_id: [2, 3] }, { eos_token_id: [3, 5] }).eosIds).toEqual([2, 3, 5]);
    expect(readConfig({ ...LLAMA, eos_token_id: null, pad_token_id: -1 }).eosIds).toEqual([]);
  });

  it('reads rotary settings of old and new files', () => {
    expect(readConfig({ ...LLAMA, rope_scaling: { type: 'linear', factor: 2 } }).ropeScaling).toEqual({
      kind: 'linear',
      factor: 2,
    });
    const llama3 = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
      rope_theta: 500000,
    };
    const config = readConfig({ ...LLAMA, rope_theta: undefined, rope_parameters: llama3 });
    expect(config.ropeTheta).toBe(500000);
    expect(config.ropeScaling).toEqual({
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContext: 8192,
    });
  });

  it('knows what the architectures differ in', () => {
    expect(readConfig(QWEN2)).toMatchObject({ attentionBias: true, qkNorm: false });
    expect(readConfig({ ...QWEN2, model_type: 'qwen3' })).toMatchObject({
      attentionBias: false,
      qkNorm: true,
      headDim: 128,
    });
    expect(parameterShapes(readConfig(QWEN2)).get('model.layers.2.self_attn.k_proj.bias')).toEqual([32]);
    expect(parameterShapes(readConfig({ ...LLAMA, tie_word_embeddings: false })).get('lm_head.weight')).toEqual([
      199, 64,
    ]);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['another architecture', { model_type: 'gpt2' }, '"gpt2"'],
    ['a quantised checkpoint', { quantization_config: { bits: 4 } }, 'quantised'],
    ['another activation', { hidden_act: 'gelu' }, '"gelu"'],
    ['attention biases in a Llama', { attention_bias: true }, 'Attention biases'],
    ['feed-forward biases', { mlp_bias: true }, 'mlp_bias'],
    ['experts', { num_local_experts: 8 }, '8 experts'],
    ['partial rotation', { partial_rotary_factor: 0.5 }, '0.5'],
    [
      'a sliding window in use',
      { use_sliding_window: true, sliding_window: 4096, max_window_layers: 1 },
      '4096 tokens',
    ],
    ['sliding layers', { layer_types: ['sliding_attention'], sliding_window: 512 }, 'Sliding-window'],
    ['another rotary scaling', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, '"yarn"'],
    ['heads that do not divide', { num_key_value_heads: 3 }, 'cannot share'],
    ['a hidden size that does not divide', { hidden_size: 63 }, 'multiple'],
    ['an odd head dimension', { head_dim: 15 }, 'even'],
    ['a huge model', { hidden_size: 1e9 }, 'hidden_size'],
    ['a missing number', { vocab_size: undefined }, 'vocab_size'],
    ['a number as text', { num_hidden_layers: '3' }, '"3"'],
    ['an end id outside the vocabulary', { eos_token_id: 199 }, '199'],
  ])('refuses %s', (_, change, words) => {
    expect(() => readConfig({ ...LLAMA, ...change })).toThrow(UserError);
    expect(() => readConfig({ ...LLAMA, ...change })).toThrow(words);
  });

  it('answers anything with a configuration or a sentence', () => {
    const keys = [
      ...Object.keys(LLAMA),
      'head_dim',
      'rope_scaling',
      'rope_parameters',
      'layer_types',
      'sliding_window',
      'eos_token_id',
      'quantization_config',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        try {
          readConfig({ ...LLAMA, [key]: value });
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('rotary frequencies', () => {
  it('are powers of theta', () => {
    const plain = ropeFrequencies(readConfig(LLAMA));
    expect(plain).toHaveLength(8);
    expect(plain[0]).toBe(1);
    expect(plain[4]).toBeCloseTo(0.01, 8);
    expect(ropeFrequencies(readConfig({ ...LLAMA, rope_scaling: { type: 'linear', factor: 4 } }))[4]).toBeCloseTo(
      0.0025,
      8,
    );
  });

  it('follow Llama 3.1: short waves kept, long ones divided, those between in between', () => {
    const scaling = {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const config = { ...LLAMA, hidden_size: 512, rope_theta: 500000 };
    const plain = ropeFrequencies(readConfig(config));
    const scaled = ropeFrequencies(readConfig({ ...config, rope_scaling: scaling }));
    const ratios = Array.from(plain, (frequency, i) => frequency / scaled[i]);
    expect(ratios[0]).toBe(1);
    expect(ratios.at(-1)).toBeCloseTo(8, 5);
    plain.forEach((frequency, i) => {
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < 8192 / 4) expect(ratios[i]).toBe(1);
      else if (wavelength > 8192) expect(ratios[i]).toBeCloseTo(8, 5);
      else expect(ratios[i]).toSatisfy((ratio: number) => ratio > 1 && ratio < 8);
    });
  });
});
