import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import type { FileRef, FileSet } from '../protocol.ts';
import { parameterShapes, readConfig } from './config.ts';
import { filesAt } from './folder.node.ts';
import { ggufName, unpermuteRows } from './gguf-config.ts';
import { ggufFile, type TestPair, type TestTensor } from './gguf-test-file.ts';
import { configJson, writeMerged } from './merged.ts';
import { openModel } from './model-files.ts';
import { writeSafetensors, type TensorOut } from './safetensors-write.ts';
import { FIXTURES, missing, MODELS } from './test-support.node.ts';

const CONFIG = {
  model_type: 'llama',
  hidden_size: 64,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 32,
  rope_theta: 10000,
  tie_word_embeddings: false,
};

const bytes = (data: Uint8Array): FileRef => ({ kind: 'bytes', bytes: data });
const json = (value: unknown): FileRef => bytes(new TextEncoder().encode(JSON.stringify(value)));

/** Every parameter of the configuration, filled with numbers that tell them apart. */
function weights(config: Record<string, unknown> = CONFIG): (TensorOut & { data: Float32Array })[] {
  return [...parameterShapes(readConfig(config))].map(([name, shape], which) => {
    const elements = shape.reduce((product, d) => product * d, 1);
    return { name, shape, data: Float32Array.from({ length: elements }, (_, i) => which + i / elements) };
  });
}

const folder = (more: FileSet = {}, tensors: readonly TensorOut[] = weights()): FileSet => ({
  'config.json': json(CONFIG),
  'model.safetensors': bytes(writeSafetensors(tensors)),
  ...more,
});

function ggufModel(
  architecture: 'llama' | 'qwen2' | 'qwen3',
  change: (pairs: TestPair[], tensors: TestTensor[]) => void = () => {},
): FileSet {
  const config = { ...CONFIG, model_type: architecture, head_dim: 16 };
  const pairs: TestPair[] = [
    ['general.architecture', 8, architecture],
    ...(
      [
        ['block_count', 2],
        ['context_length', 128],
        ['embedding_length', 64],
        ['feed_forward_length', 32],
        ['attention.head_count', 4],
        ['attention.head_count_kv', 2],
        ['attention.key_length', 16],
      ] as const
    ).map(([key, value]): TestPair => [`${architecture}.${key}`, 4, value]),
    [`${architecture}.rope.freq_base`, 6, 500000],
    [`${architecture}.attention.layer_norm_rms_epsilon`, 6, 2 ** -17],
    ['tokenizer.ggml.eos_token_id', 4, 7],
    ['tokenizer.ggml.eot_token_id', 4, 8],
    ['tokenizer.ggml.padding_token_id', 4, 0xffffffff],
  ];
  const tensors = weights(config).map(({ name, shape, data }): TestTensor => ({
    name: ggufName(name),
    dims: shape.toReversed(),
    type: 0,
    data: new Uint8Array(data.buffer),
  }));
  change(pairs, tensors);
  return { 'model.gguf': bytes(ggufFile(pairs, tensors)) };
}

describe('a safetensors folder', () => {
  it('hands out every parameter by name', async () => {
    const model = await openModel(folder({ 'generation_config.json': json({ eos_token_id: [3, 4] }) }));
    expect(model).toMatchObject({
      format: 'safetensors',
      weightTypes: ['F32'],
      hasChatTemplate: false,
      hasTokenizer: false,
    });
    expect(model.config.eosIds).toEqual([3, 4]);
    expect(model.parameters).toBe(weights().reduce((sum, { data }) => sum + data.length, 0));
    for (const { name, shape, data } of weights()) {
      expect(model.shape(name)).toEqual(shape);
      expect(await model.readTensor(name)).toEqual(data);
    }
    await expect(model.tokenizer()).rejects.toThrow('no tokenizer.json');
    await expect(model.readTensor('model.layers.9.x')).rejects.toThrow(UserError);
  });

  it('reads shards and names without the leading "model."', async () => {
    const all = weights();
    const index = { weight_map: Object.fromEntries(all.map(({ name }, i) => [name, `part-${i % 3}.safetensors`])) };
    const parts = Object.fromEntries(
      [0, 1, 2].map((part) => [
        `part-${part}.safetensors`,
        bytes(writeSafetensors(all.filter((_, i) => i % 3 === part))),
      ]),
    );
    const sharded = await openModel({
      'config.json': json(CONFIG),
      'model.safetensors.index.json': json(index),
      ...parts,
    });
    const bare = await openModel(
      folder(
        {},
        all.map((tensor) => ({ ...tensor, name: tensor.name.replace(/^model\./, '') })),
      ),
    );
    for (const { name, data } of all) {
      expect(await sharded.readTensor(name)).toEqual(data);
      expect(await bare.readTensor(name)).toEqual(data);
    }
    const { 'part-1.safetensors': _, ...lacking } = parts;
    await expect(
      openModel({ 'config.json': json(CONFIG), 'model.safetensors.index.json': json(index), ...lacking }),
    ).rejects.toThrow('part-1.safetensors');
  });

  const without = (name: string) => weights().filter((tensor) => tensor.name !== name);
  it.each<[string, FileSet, string]>([
    ['nothing', {}, 'No model was found'],
    ['an adapter', { 'adapter_config.json': json({}) }, 'LoRA adapter'],
    ['weights alone', { 'model.safetensors': bytes(writeSafetensors(weights())) }, 'no config.json'],
    ['two GGUF files', { 'a.gguf': json(0), 'b.gguf': json(0) }, '2 GGUF files'],
    ['one part of a split GGUF', { 'a-00001-of-00002.gguf': json(0) }, 'one part'],
    ['a missing tensor', folder({}, without('model.norm.weight')), 'lacks the tensor model.norm.weight'],
    [
      'a tensor of another shape',
      folder({}, [
        ...without('model.norm.weight'),
        { name: 'model.norm.weight', shape: [2, 32], data: new Float32Array(64) },
      ]),
      '[2,32]',
    ],
    [
      'a tensor of whole numbers',
      folder({}, [
        ...without('model.norm.weight'),
        { name: 'model.norm.weight', shape: [64], data: new Int32Array(64) },
      ]),
      'I32',
    ],
    ['a config that is a list', folder({ 'config.json': json([]) }), 'JSON object'],
    ['an index without a map', { 'config.json': json(CONFIG), 'model.safetensors.index.json': json({}) }, 'weight_map'],
    [
      'an index that names a folder above',
      { 'config.json': json(CONFIG), 'model.safetensors.index.json': json({ weight_map: { a: '../x' } }) },
      '../x',
    ],
  ])('refuses %s', async (_, files, words) => {
    await expect(openModel(files)).rejects.toThrow(UserError);
    await expect(openModel(files)).rejects.toThrow(words);
  });
});

describe('a GGUF model', () => {
  it.each(['llama', 'qwen2', 'qwen3'] as const)(
    'gives %s parameters under their Hugging Face names',
    async (architecture) => {
      const model = await openModel(ggufModel(architecture));
      expect(model.config).toMatchObject({
        architecture,
        headDim: 16,
        kvHeads: 2,
        vocab: 32,
        ropeTheta: 500000,
        rmsEps: 2 ** -17,
        tied: false,
        eosIds: [7, 8],
        padId: null,
      });
      for (const { name, data } of weights({ ...CONFIG, model_type: architecture, head_dim: 16 })) {
        const rotated = architecture === 'llama' && /[qk]_proj/.test(name);
        const heads = name.includes('q_proj') ? 4 : 2;
        expect(await model.readTensor(name), name).toEqual(rotated ? unpermuteRows(data, heads, 16) : data);
      }
    },
  );

  it('ties the output to the embedding where there is no output matrix', async () => {
    const model = await openModel(
      ggufModel('llama', (_, tensors) =>
        tensors.splice(
          tensors.findIndex(({ name }) => name === 'output.weight'),
          1,
        ),
      ),
    );
    expect(model.config.tied).toBe(true);
    expect(model.tensorNames).not.toContain('lm_head.weight');
  });

  it('finds the Llama 3 scaling in the listed frequencies, and refuses others', async () => {
    const scaled = (divisors: readonly number[]) =>
      openModel(
        ggufModel(
          'llama',
          (_, tensors) =>
            void tensors.push({
              name: 'rope_freqs.weight',
              dims: [divisors.length],
              type: 0,
              data: new Uint8Array(new Float32Array(divisors).buffer),
            }),
        ),
      );
    // theta 500000, head dimension 16: wavelengths 6.3, 32, 167, 862, 4443, 22910 ...; 8192 / 4 and 8192 bound the bend.
    const bend = (i: number) => {
      const turns = 8192 / (2 * Math.PI * 500000 ** (i / 8));
      const keep = Math.min(1, Math.max(0, (turns - 1) / 3));
      return 1 / (keep + (1 - keep) / 8);
    };
    const model = await scaled(Array.from({ length: 8 }, (_, i) => bend(i)));
    expect(model.config.ropeScaling).toEqual({
      kind: 'llama3',
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalContext: 8192,
    });
    await expect(scaled([1, 2, 3, 4, 5, 6, 7, 8])).rejects.toThrow('no scaling known');
  });

  it.each<[string, (pairs: TestPair[], tensors: TestTensor[]) => void, string]>([
    ['another architecture', (pairs) => (pairs[0] = ['general.architecture', 8, 'gemma']), '"gemma"'],
    ['experts', (pairs) => pairs.push(['llama.expert_count', 4, 8]), '8 experts'],
    ['partial rotation', (pairs) => pairs.push(['llama.rope.dimension_count', 4, 8]), 'rope.dimension_count'],
    ['another scaling', (pairs) => pairs.push(['llama.rope.scaling.type', 8, 'yarn']), '"yarn"'],
    ['no layers', (pairs) => pairs.splice(1, 1), 'block_count'],
    ['a missing tensor', (_, tensors) => tensors.splice(3, 1), 'lacks the tensor'],
  ])('refuses %s', async (_, change, words) => {
    await expect(openModel(ggufModel('llama', change))).rejects.toThrow(UserError);
    await expect(openModel(ggufModel('llama', change))).rejects.toThrow(words);
  });

  it('answers any mutation with a model or a sentence', async () => {
    const { 'model.gguf': ref } = ggufModel('llama');
    const good = ref.kind === 'bytes' ? ref.bytes : new Uint8Array(0);
    await fc.assert(
      fc.asyncProperty(fc.nat(1500), fc.nat(255), async (at, value) => {
        try {
          const model = await openModel({ 'model.gguf': bytes(good.with(at, value)) });
          for (const name of model.tensorNames) await model.readTensor(name);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('undoes the row order of interleaved pairs', () => {
    // One head of four rows, two columns: stored x0 y0 x1 y1, wanted x0 x1 y0 y1.
    expect([...unpermuteRows(Float32Array.of(0, 0, 2, 2, 1, 1, 3, 3), 1, 4)]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });
});

describe('a merged model', () => {
  it('reads back the same, in one file or in shards, from a folder or from GGUF', async () => {
    for (const files of [
      folder({ 'tokenizer.json': json({ model: { type: 'WordLevel', vocab: { a: 0 } } }) }),
      ggufModel('qwen3'),
      ggufModel('qwen2'),
      ggufModel('llama'),
    ]) {
      const model = await openModel(files);
      for (const shardMaxBytes of [2 ** 30, 20_000]) {
        const out = await writeMerged(model, (name) => model.readTensor(name), 'F32', shardMaxBytes);
        expect(out.some(({ name }) => name === 'model.safetensors.index.json')).toBe(shardMaxBytes === 20_000);
        const again = await openModel(Object.fromEntries(out.map(({ name, bytes: data }) => [name, bytes(data)])));
        expect(again.config).toEqual(model.config);
        expect(again.hasTokenizer).toBe(model.hasTokenizer);
        for (const name of model.tensorNames)
          expect(await again.readTensor(name)).toEqual(await model.readTensor(name));
      }
    }
  });

  it('keeps what the configuration said and names the new type', async () => {
    const model = await openModel(folder({ 'config.json': json({ ...CONFIG, torch_dtype: 'bfloat16', my_field: 1 }) }));
    const [config] = await writeMerged(model, (name) => model.readTensor(name), 'F16');
    expect(JSON.parse(new TextDecoder().decode(config.bytes))).toMatchObject({ torch_dtype: 'float16', my_field: 1 });
  });

  it('describes stretched positions as Hugging Face does', () => {
    for (const scaling of [
      { rope_type: 'linear', factor: 2 },
      {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 8192,
      },
    ]) {
      const config = readConfig({ ...CONFIG, rope_scaling: scaling });
      expect(readConfig(configJson(config, 'float32'))).toEqual(config);
    }
  });
});

const real = [
  `${FIXTURES}/tiny-llama`,
  `${FIXTURES}/tiny-qwen2`,
  `${FIXTURES}/tiny-qwen3`,
  `${MODELS}/minimind2-small`,
  `${MODELS}/smollm2-135m-instruct`,
];
for (const path of real) {
  const lacking = missing(path);
  it.skipIf(lacking)(`${path.slice(path.lastIndexOf('/') + 1)} opens whole ${lacking ?? ''}`, async () => {
    const model = await openModel(await filesAt(path));
    for (const name of model.tensorNames) {
      const data = await model.readTensor(name);
      expect(data.length).toBe(model.shape(name).reduce((product, d) => product * d, 1));
      expect(data.every(Number.isFinite)).toBe(true);
    }
  });
}

const tiny = missing(`${FIXTURES}/tiny-qwen2`);
it.skipIf(tiny)(`a truncated or flipped folder gives a sentence ${tiny ?? ''}`, async () => {
  const config = readFileSync(`${FIXTURES}/tiny-qwen2/config.json`);
  const good = readFileSync(`${FIXTURES}/tiny-qwen2/model.safetensors`);
  await fc.assert(
    fc.asyncProperty(
      fc.nat(4000),
      fc.nat(255),
      fc.nat(good.length - 1),
      fc.nat(config.length - 1),
      async (at, value, keep, where) => {
        const broken = [
          { 'config.json': bytes(config), 'model.safetensors': bytes(new Uint8Array(good).with(at, value)) },
          { 'config.json': bytes(config), 'model.safetensors': bytes(good.subarray(0, keep)) },
          { 'config.json': bytes(new Uint8Array(config).with(where, value)), 'model.safetensors': bytes(good) },
        ];
        for (const files of broken)
          await openModel(files).catch((error: unknown) => expect(error).toBeInstanceOf(UserError));
      },
    ),
    { numRuns: 100 },
  );
});
