/**
 * Makes models/nano again, on this project's own engine: seeded initial weights, then reading and searching taught on
 * generated villages until both are right, then the mixture of good and mediocre habits it ships with. Run it with
 * `npm run make-nano`; `-- --seed N --device wasm --out FOLDER` vary it. Takes tens of minutes on two cores.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { writeSafetensors } from '../engine/formats/safetensors-write.ts';
import type { DeviceChoice, EngineApi, FileRef, SftExample, SftSettings } from '../engine/protocol.ts';
import { startNodeEngine } from '../engine/start.node.ts';
import { generator } from '../workflows/random.ts';
import { habit, lesson, type Example } from './curriculum.ts';
import { nanoTokenizer, nanoVocabulary } from './nano-tokenizer.ts';

const shape = { hidden: 128, intermediate: 344, layers: 4, heads: 4, kvHeads: 2 };
const batch = 96;
const lessonSteps = { atLeast: 300, atMost: 1_500, checkEvery: 50 };
const habitSteps = 150;
const policy = 'nano';

const { values: options } = parseArgs({
  options: {
    seed: { type: 'string', default: '0' },
    device: { type: 'string', default: 'auto' },
    out: { type: 'string', default: path.join(import.meta.dirname, 'nano') },
  },
});

function nanoConfig(): object {
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: nanoVocabulary().length,
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

/** Normal(0, 0.02) matrices, unit norms; Box–Muller over the village's own generator. */
function initialWeights(seed: number): { name: string; shape: number[]; data: Float32Array }[] {
  const random = generator(seed + 17);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const matrix = (name: string, rows: number, columns: number) => ({
    name,
    shape: [rows, columns],
    data: Float32Array.from({ length: rows * columns }, () => 0.02 * normal()),
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
    matrix('model.embed_tokens.weight', nanoVocabulary().length, shape.hidden),
    ...Array.from({ length: shape.layers }, (_, i) => layer(i)).flat(),
    ones('model.norm.weight'),
  ];
}

function untrained(seed: number): Record<string, FileRef> {
  const { tokenizer, config } = nanoTokenizer();
  const json = (value: object): FileRef => ({
    kind: 'bytes',
    bytes: new TextEncoder().encode(JSON.stringify(value, null, 1) + '\n'),
  });
  return {
    'config.json': json(nanoConfig()),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json(config),
    'generation_config.json': json({ eos_token_id: 2, pad_token_id: 0 }),
    'model.safetensors': { kind: 'bytes', bytes: writeSafetensors(initialWeights(seed)) },
  };
}

function asSft(example: Example): SftExample {
  return {
    prompt: { messages: [{ role: 'user', content: example.user }] },
    response: example.response,
    role: example.role,
  };
}

function draw(random: () => number, make: (random: () => number) => Example): SftExample[] {
  return Array.from({ length: batch }, () => asSft(make(random)));
}

/** Share of fresh lessons answered exactly, by role. */
async function accuracy(engine: EngineApi, random: () => number): Promise<Record<string, number>> {
  const tests = Array.from({ length: 128 }, () => lesson(random, 0.5));
  const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, maxTokens: 16, stop: [], seed: 0 };
  const said = await engine.generate(
    policy,
    tests.map((test, i) => ({
      record: String(i),
      prompt: { messages: [{ role: 'user' as const, content: test.user }] },
      sampling,
      keep: false,
    })),
  );
  const right: Record<string, number[]> = {};
  tests.forEach((test, i) =>
    (right[test.role] ??= []).push(said[i].text.replaceAll(' ', '') === test.response.replaceAll(' ', '') ? 1 : 0),
  );
  return Object.fromEntries(
    Object.entries(right).map(([role, hits]) => [role, hits.reduce((a, b) => a + b, 0) / hits.length]),
  );
}

const sft = (lr: number, lrDecay: SftSettings['lrDecay'], totalSteps: number): SftSettings => ({
  lr,
  lrWarmup: lrDecay === 'constant' ? 50 : 0,
  lrDecay,
  totalSteps,
  weightDecay: 0.01,
  maxGradNorm: 1,
  tokenBudget: 8_192,
});

/** Stays at a constant rate until both roles read, then falls to zero over as many steps again as it needs to settle. */
async function teach(engine: EngineApi, seed: number): Promise<number> {
  const random = generator(seed + 1);
  const probe = generator(seed + 2);
  const settings = sft(1e-3, 'constant', lessonSteps.atMost);
  for (let step = 0; step < lessonSteps.atMost; step++) {
    const report = await engine.sft(
      policy,
      draw(random, (r) => lesson(r, 0.25)),
      settings,
      step,
    );
    if ((step + 1) % lessonSteps.checkEvery !== 0) continue;
    const right = await accuracy(engine, probe);
    console.log(`lesson ${step + 1}: loss ${report.loss.toFixed(3)}, right ${JSON.stringify(right)}, ${seconds()} s`);
    if (step + 1 >= lessonSteps.atLeast && Object.values(right).every((share) => share >= 0.985)) return step + 1;
  }
  throw new Error(`nano did not learn to read within ${lessonSteps.atMost} steps`);
}

async function polish(engine: EngineApi, seed: number, from: number): Promise<void> {
  const random = generator(seed + 3);
  const steps = 100;
  for (let step = 0; step < steps; step++)
    await engine.sft(
      policy,
      draw(random, (r) => lesson(r, 0.25)),
      { ...sft(1e-3 * (1 - step / steps), 'constant', 0), lrWarmup: 0 },
      from + step,
    );
  console.log(`polished: right ${JSON.stringify(await accuracy(engine, generator(seed + 4)))}, ${seconds()} s`);
}

async function spoil(engine: EngineApi, seed: number): Promise<void> {
  const random = generator(seed + 5);
  for (let step = 0; step < habitSteps; step++) {
    const lr = 5e-4 * (1 - step / habitSteps);
    const report = await engine.sft(policy, draw(random, habit), { ...sft(lr, 'constant', 0), lrWarmup: 0 }, step);
    if ((step + 1) % 50 === 0) console.log(`habit ${step + 1}: loss ${report.loss.toFixed(3)}, ${seconds()} s`);
  }
}

const started = performance.now();
const seconds = () => ((performance.now() - started) / 1000).toFixed(0);

async function main(): Promise<void> {
  const seed = Number(options.seed);
  const { engine, close } = await startNodeEngine({ onToken() {}, onProgress() {}, onDeviceLost() {} });
  const device = await engine.open(options.device as DeviceChoice);
  console.log(`nano, seed ${seed}, on ${device.name}`);
  await engine.loadModel('nano', untrained(seed));
  await engine.createPolicy({ policy, model: 'nano', method: { kind: 'full' }, frozen: false, seed });
  const taught = await teach(engine, seed);
  await polish(engine, seed, taught);
  await spoil(engine, seed);
  await mkdir(options.out, { recursive: true });
  for (const file of await engine.exportPolicy(policy, 'merged'))
    await writeFile(path.join(options.out, file.name), file.bytes);
  console.log(`written to ${options.out}`);
  await close();
}

await main();
