import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import type { FileOut, FileSet } from '../protocol.ts';
import { readConfig, type ModelConfig } from './config.ts';
import { filesAt } from './folder.node.ts';
import { openModel } from './model-files.ts';
import { readPeft, writePeft, type LoraPair } from './peft.ts';
import { writeSafetensors } from './safetensors-write.ts';
import { FIXTURES, missing } from './test-support.node.ts';

const config: ModelConfig = readConfig({
  model_type: 'llama',
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  vocab_size: 10,
});
const ramp = (length: number, from: number) => Float32Array.from({ length }, (_, i) => from + i / 100);
const pairs = (layers: readonly number[]): Map<string, LoraPair> =>
  new Map(
    layers.flatMap((layer) => [
      [`model.layers.${layer}.self_attn.q_proj`, { a: ramp(16, layer), b: ramp(16, -layer) }] as const,
      [`model.layers.${layer}.mlp.down_proj`, { a: ramp(24, layer), b: ramp(16, layer) }] as const,
    ]),
  );
const set = (files: readonly FileOut[]): FileSet =>
  Object.fromEntries(files.map(({ name, bytes }) => [name, { kind: 'bytes', bytes }]));
const adapter = () => set(writePeft({ rank: 2, alpha: 4, pairs: pairs([0, 1, 2]) }, config, 'base'));

function changed(change: Record<string, unknown>): FileSet {
  const files = adapter();
  const ref = files['adapter_config.json'];
  const json = JSON.parse(new TextDecoder().decode(ref.kind === 'bytes' ? ref.bytes : undefined)) as Record<
    string,
    unknown
  >;
  return {
    ...files,
    'adapter_config.json': { kind: 'bytes', bytes: new TextEncoder().encode(JSON.stringify({ ...json, ...change })) },
  };
}

describe('PEFT adapters', () => {
  it('read back what was written', async () => {
    const read = await readPeft(adapter(), config);
    expect(read).toMatchObject({ rank: 2, alpha: 4, scale: 2, targets: ['q_proj', 'down_proj'], layers: [0, 1, 2] });
    expect(read.pairs).toEqual(pairs([0, 1, 2]));
  });

  it('name the layers where they are not on all', async () => {
    const files = writePeft({ rank: 2, alpha: 4, pairs: pairs([0, 2]) }, config, 'base');
    expect(JSON.parse(new TextDecoder().decode(files[0].bytes))).toMatchObject({
      layers_to_transform: [0, 2],
      target_modules: ['q_proj', 'down_proj'],
      r: 2,
      lora_alpha: 4,
    });
    expect((await readPeft(set(files), config)).layers).toEqual([0, 2]);
  });

  it('scale by the root of the rank where they are rank-stabilised', async () => {
    expect((await readPeft(changed({ use_rslora: true }), config)).scale).toBeCloseTo(4 / Math.sqrt(2), 12);
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['another method', { peft_type: 'IA3' }, '"IA3"'],
    ['DoRA', { use_dora: true }, 'DoRA'],
    ['trained biases', { bias: 'all' }, '"all"'],
    ['fully trained modules', { modules_to_save: ['lm_head'] }, 'lm_head'],
    ['ranks that differ', { rank_pattern: { q_proj: 8 } }, 'rank_pattern'],
    ['a base changed at initialisation', { init_lora_weights: 'pissa' }, '"pissa"'],
    ['another rank than the tensors', { r: 4 }, 'does not fit'],
    ['an impossible rank', { r: 0 }, 'r must be'],
  ])('refuse %s', async (_, change, words) => {
    await expect(readPeft(changed(change), config)).rejects.toThrow(UserError);
    await expect(readPeft(changed(change), config)).rejects.toThrow(words);
  });

  const one = (name: string, shape: number[]) => ({ name, shape, data: new Float32Array(shape[0] * shape[1]) });
  const q = 'base_model.model.model.layers.0.self_attn.q_proj';
  it.each([
    ['half a pair', [one(`${q}.lora_A.weight`, [2, 8])], 'only one of A and B'],
    ['another model', [one(`${q}.lora_A.weight`, [2, 9]), one(`${q}.lora_B.weight`, [8, 2])], 'does not fit'],
    ['a layer that is not there', [one(`${q.replace('0', '7')}.lora_A.weight`, [2, 8])], 'no place'],
    ['an adapter on the embedding', [one('base_model.model.model.embed_tokens.lora_embedding_A', [2, 10])], 'no place'],
    ['no tensors', [], 'holds no adapter'],
  ])('refuse %s', async (_, tensors, words) => {
    const files: FileSet = {
      ...adapter(),
      'adapter_model.safetensors': { kind: 'bytes', bytes: writeSafetensors(tensors) },
    };
    await expect(readPeft(files, config)).rejects.toThrow(UserError);
    await expect(readPeft(files, config)).rejects.toThrow(words);
  });

  it('refuse a folder without its files', async () => {
    await expect(readPeft({}, config)).rejects.toThrow('adapter_config.json');
    await expect(readPeft({ 'adapter_config.json': adapter()['adapter_config.json'] }, config)).rejects.toThrow(
      'adapter_model.safetensors',
    );
  });

  for (const name of ['tiny-llama', 'tiny-qwen2', 'tiny-qwen3']) {
    const lacking = missing(`${FIXTURES}/${name}`);
    it.skipIf(lacking)(`${name}'s adapter reads whole and is written as PEFT wrote it ${lacking ?? ''}`, async () => {
      const model = await openModel(await filesAt(`${FIXTURES}/${name}`));
      const read = await readPeft(await filesAt(`${FIXTURES}/${name}/adapter`), model.config);
      expect(read).toMatchObject({ rank: 4, alpha: 8, scale: 2, layers: [0, 1, 2] });
      expect(read.pairs.size).toBe(21);
      const again = await readPeft(set(writePeft(read, model.config, '..')), model.config);
      expect(again.pairs).toEqual(new Map([...read.pairs]));
    });
  }
});
