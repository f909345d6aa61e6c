/**
 * What Troupe exports, loaded by Hugging Face transformers and PEFT: a merged model and a LoRA adapter must give our logits.
 * Needs a Python with torch, transformers and peft: TROUPE_PYTHON names it, else python3 is tried.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FileOut } from '../../engine/protocol.ts';
import { filesAt } from '../../engine/formats/folder.node.ts';
import { configJson, writeMerged } from '../../engine/formats/merged.ts';
import { openModel } from '../../engine/formats/model-files.ts';
import { writePeft, type LoraPair } from '../../engine/formats/peft.ts';
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
        const base = await loadModel(path);
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
});
