/**
 * What Troupe exports, loaded by Hugging Face transformers and PEFT: a merged model and a LoRA adapter must give our logits.
 * Needs a Python with torch, transformers and peft: TROUPE_PYTHON names it, else python3 is tried.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import '../../engine/device/register.node.ts';
import { createEngine } from '../../engine/engine.ts';
import type { FileOut, GenerateRequest } from '../../engine/protocol.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { configJson, writeMerged } from '../../engine/formats/merged.ts';
import '../../engine/formats/source.node.ts';
import { openModel } from '../../engine/formats/model-files.ts';
import { writePeft, type LoraPair } from '../../engine/formats/peft.ts';
import { ppoSettings } from '../../engine/learn/settings.ts';
import { FIXTURES, MODELS, missing } from '../../engine/formats/test-support.node.ts';
import type { BaseModel } from '../../engine/model/base-model.ts';
import type { Policy, Trainable } from '../../engine/model/policy.ts';
import { largestError } from '../golden/report.ts';
import { allLogits, loadModel, policyOn, setTrainable } from '../golden/subject.ts';

const PYTHON = process.env['TROUPE_PYTHON'] ?? 'python3';
const MODELS_TRIED = [
  `${FIXTURES}/tiny-llama`,
  `${FIXTURES}/tiny-qwen2`,
  `${FIXTURES}/tiny-qwen3`,
  `${MODELS}/smollm2-135m-instruct`,
];
const ALLOWED = 2e-3;

function lacking(): string | null {
  const absent = missing(FIXTURES);
  if (absent) return absent;
  const probe = spawnSync(PYTHON, ['-c', 'import torch, transformers, peft']);
  return probe.status === 0
    ? null
    : `skipped: ${PYTHON} has no torch, transformers and peft (TROUPE_PYTHON names another)`;
}

const reason = lacking();
let folder = '';

function save(name: string, files: readonly FileOut[]): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  for (const { name: file, bytes } of files) writeFileSync(join(path, file), bytes);
  return path;
}

function theirLogits(model: string, ids: readonly number[][], adapter?: string): Float32Array {
  const out = join(folder, 'logits.bin');
  const run = spawnSync(
    PYTHON,
    [join(import.meta.dirname, 'logits.py'), model, JSON.stringify(ids), out, ...(adapter ? [adapter] : [])],
    { encoding: 'utf8' },
  );
  if (run.status !== 0) throw new Error(run.stderr.slice(-2000));
  return new Float32Array(readFileSync(out).buffer.slice(0));
}

function theirTokens(model: string, text: string): { ids: number[]; chat: string; text: string } {
  const run = spawnSync(PYTHON, [join(import.meta.dirname, 'tokens.py'), model, text], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(run.stderr.slice(-2000));
  return JSON.parse(run.stdout) as { ids: number[]; chat: string; text: string };
}

/** Numbers that look random and are the same on every run. */
function noise(length: number, scale: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => scale * Math.sin(12.9898 * (i + 1) + 78.233 * length));
}

/** Of logits [rows, vocab]. */
function logprobAt(logits: Float32Array, vocab: number, row: number, id: number): number {
  const one = logits.subarray(row * vocab, (row + 1) * vocab);
  const max = one.reduce((a, b) => Math.max(a, b), -Infinity);
  return one[id]! - max - Math.log(one.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
}

const IDS = [Array.from({ length: 12 }, (_, i) => 3 + i * 7), Array.from({ length: 12 }, (_, i) => 90 - i * 5)];
const batch = { ids: Int32Array.from(IDS.flat()), batch: 2, length: 12, lengths: Int32Array.of(12, 12) };

async function pairsOf(policy: Policy & { readonly trainable: Trainable }): Promise<Map<string, LoraPair>> {
  const flat = (await policy.trainable.flat.data()) as Float32Array;
  const part = (name: string) => {
    const segment = policy.trainable.layout.find((each) => each.name === name)!;
    return flat.slice(segment.offset, segment.offset + segment.size);
  };
  const linears = policy.trainable.layout
    .filter(({ name }) => name.endsWith('.lora_A'))
    .map(({ name }) => name.slice(0, -'.lora_A'.length));
  return new Map(linears.map((linear) => [linear, { a: part(`${linear}.lora_A`), b: part(`${linear}.lora_B`) }]));
}

async function merged(base: BaseModel): Promise<FileOut[]> {
  return writeMerged(base.source, async (name) => (await base.weights[name].data()) as Float32Array, 'F32', 2 ** 28);
}

describe.skipIf(reason)(`Hugging Face loads what we export ${reason ?? ''}`, () => {
  beforeAll(async () => {
    await tf.setBackend('cpu');
    folder = mkdtempSync(join(tmpdir(), 'troupe-hf-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const gguf = `${MODELS}/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf`;
  const noGguf = missing(gguf);
  it.skipIf(noGguf)(`the tokenizer inside a GGUF file, exported ${noGguf ?? ''}`, { timeout: 60_000 }, async () => {
    const source = await openModel(await filesAt(gguf));
    const tokenizer = await source.tokenizer();
    const config = {
      name: 'config.json',
      bytes: new TextEncoder().encode(JSON.stringify(configJson(source.config, 'float32'))),
    };
    const model = save('tokenizer', [config, ...tokenizer.files()]);
    const text = "I'd pay 12,345 € for naïve 漢字; wouldn't you?\n\n\tif (a != b) return;";
    expect(theirTokens(model, text)).toEqual({
      ids: tokenizer.encode(text),
      chat: tokenizer.renderChat([{ role: 'user', content: text }]),
      text,
    });
  });

  for (const path of MODELS_TRIED) {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const absent = missing(path);
    it.skipIf(absent)(
      `${name}: a merged model and an adapter on it ${absent ?? ''}`,
      { timeout: 300_000 },
      async () => {
        const base = await loadModel(await filesAt(path));
        const model = save(`${name}-merged`, await merged(base));
        const plain = await allLogits(tf, base, batch, { weights: base.weights, adapter: null });
        expect(largestError(theirLogits(model, IDS), plain)).toBeLessThan(ALLOWED);

        const method = {
          kind: 'lora',
          rank: 4,
          alpha: 6,
          targets: ['q_proj', 'v_proj', 'down_proj'],
          layers: [0, 2],
        } as const;
        const policy = policyOn(base, method);
        await setTrainable(tf, policy, async ({ name: segment, size }) =>
          noise(size, segment.endsWith('lora_B') ? 0.05 : 0.2),
        );
        const adapter = save(
          `${name}-adapter`,
          writePeft({ rank: 4, alpha: 6, pairs: await pairsOf(policy) }, base.config, model),
        );
        const ours = await allLogits(tf, base, batch, policy.using());
        expect(largestError(ours, plain)).toBeGreaterThan(10 * ALLOWED);
        expect(largestError(theirLogits(model, IDS, adapter), ours)).toBeLessThan(ALLOWED);
        policy.dispose();
        base.dispose();
      },
    );
  }

  const nano = resolve(import.meta.dirname, '../../models/nano');
  const noNano = missing(nano);
  it.skipIf(noNano)(`an adapter that PPO trained ${noNano ?? ''}`, { timeout: 120_000 }, async () => {
    const engine = createEngine({ onToken: () => {}, onProgress: () => {}, onDeviceLost: () => {}, onTuned: () => {} });
    await engine.open('wasm');
    const info = await engine.loadModel('nano', await filesAt(nano));
    const method = { kind: 'lora', rank: 4, alpha: 8, targets: ['q_proj', 'v_proj', 'down_proj'] } as const;
    await engine.createPolicy({ policy: 'team', model: 'nano', method, frozen: false, seed: 1 });
    const settings = ppoSettings({ parameters: info.parameters, method: 'lora', totalSteps: 3 }, { lr: 3e-3 });
    const prompts = ['who is the baker ?', 'where does the miller live ?'];
    const promptIds = await Promise.all(prompts.map((text) => engine.encode('nano', { text })));
    const items = promptIds.map((ids, i) => ({ promptIds: ids, ids: IDS[i]!.map((id) => id % info.vocab) }));
    const before = await engine.score('team', items);
    for (let step = 0; step < 3; step++) {
      const requests: GenerateRequest[] = Array.from({ length: 8 }, (_, i) => ({
        record: `${step}-${i}`,
        prompt: { ids: promptIds[i % 2]! },
        sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 12, stop: [], seed: 8 * step + i },
        keep: true,
      }));
      const answers = await engine.generate('team', requests);
      const settled = answers.map(({ record, ids }, i) => ({
        record,
        reward: new Set(ids).size / ids.length,
        role: 'any',
        turn: 0,
        group: `${i % 2}`,
      }));
      await engine.update('team', settled, settings, step);
    }
    const ours = await engine.score('team', items);
    const adapter = save('trained', await engine.exportPolicy('team', 'peft'));
    await engine.close();

    const flat = (scored: typeof ours): number[] => scored.flatMap(({ logprobs }) => [...logprobs]);
    const theirs = items.flatMap(({ promptIds: prompt, ids }) => {
      const logits = theirLogits(nano, [[...prompt, ...ids]], adapter);
      return ids.map((id, t) => logprobAt(logits, info.vocab, prompt.length + t - 1, id));
    });
    expect(largestError(Float32Array.from(flat(ours)), flat(before))).toBeGreaterThan(10 * ALLOWED);
    expect(largestError(Float32Array.from(flat(ours)), theirs)).toBeLessThan(ALLOWED);
  });
});
