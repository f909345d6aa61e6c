/** The plain trunk against transformers' own numbers, and its cached decode against its whole-sequence forward. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDevice, type Device } from '../device/open.ts';
import { openSafetensors, readFloats, readInts } from '../formats/safetensors.ts';
import { FIXTURES, missing, openPath } from '../formats/test-support.node.ts';
import { openModel } from '../formats/model-files.ts';
import { readPeft } from '../formats/peft.ts';
import { filesAt } from '../formats/folder.node.ts';
import { makeTfjsTrunk } from './tfjs-trunk.ts';
import { headWeight, type Adapter, type ForwardWeights, type TokenBatch, type Trunk } from './trunk.ts';

const MODELS = ['tiny-llama', 'tiny-qwen2', 'tiny-qwen3'] as const;

type Loaded = { trunk: Trunk; using: ForwardWeights; head: tf.Tensor2D };

async function load(name: string): Promise<Loaded> {
  const source = await openModel(await filesAt(`${FIXTURES}/${name}`));
  const weights: Record<string, tf.Tensor> = {};
  for (const tensor of source.tensorNames)
    weights[tensor] = tf.tensor(await source.readTensor(tensor), [...source.shape(tensor)]);
  return {
    trunk: makeTfjsTrunk(source.config),
    using: { weights, adapter: null },
    head: headWeight(source.config, weights),
  };
}

async function adapterOf(name: string, trunk: Trunk): Promise<Adapter> {
  const files = await readPeft(await filesAt(`${FIXTURES}/${name}/adapter`), trunk.config);
  const layers: Record<string, { a: tf.Tensor2D; b: tf.Tensor2D }> = {};
  for (const [module, { a, b }] of files.pairs)
    layers[module] = {
      a: tf.tensor2d(a, [files.rank, a.length / files.rank]),
      b: tf.tensor2d(b, [b.length / files.rank, files.rank]),
    };
  return { scale: files.scale, layers };
}

function largestError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  expect(got.length).toBe(wanted.length);
  let worst = 0;
  for (let i = 0; i < got.length; i++) worst = Math.max(worst, Math.abs(got[i] - wanted[i]));
  return worst;
}

const absent = missing(FIXTURES);

describe.skipIf(absent)(`the tfjs trunk ${absent ?? ''}`, () => {
  let device: Device;

  beforeAll(async () => {
    device = await openDevice('wasm');
  });
  afterAll(() => device.close());

  it.each(MODELS)('%s: logits equal the reference to 1e-3', async (name) => {
    const { trunk, using, head } = await load(name);
    const expected = await openSafetensors(await openPath(`${FIXTURES}/${name}/expected.safetensors`));
    const ids = await readInts(expected, 'input_ids');
    const lengths = await readInts(expected, 'lengths');
    const wanted = await readFloats(expected, 'logits');
    const hidden = trunk.forward({ ids, batch: 2, length: 24, lengths }, using);
    const logits = tf.matMul(hidden.reshape([48, trunk.config.hidden]), head, false, true).dataSync();
    const vocab = trunk.config.vocab;
    for (let b = 0; b < 2; b++) {
      const rows = [b * 24 * vocab, (b * 24 + lengths[b]) * vocab] as const;
      expect(largestError(logits.slice(...rows), wanted.slice(...rows))).toBeLessThan(1e-3);
    }
  });

  it.each(MODELS)('%s: with a PEFT adapter, logits equal the reference to 1e-3', async (name) => {
    const { trunk, using, head } = await load(name);
    const expected = await openSafetensors(await openPath(`${FIXTURES}/${name}/ppo_step.safetensors`));
    const ids = await readInts(expected, 'input_ids');
    const wanted = await readFloats(expected, 'logits');
    const rows = ids.length;
    const length = expected.entries.get('input_ids')!.shape[1];
    const adapter = await adapterOf(name, trunk);
    const hidden = trunk.forward(
      { ids, batch: rows / length, length, lengths: new Int32Array(rows / length).fill(length) },
      { ...using, adapter },
    );
    const logits = tf.matMul(hidden.reshape([rows, trunk.config.hidden]), head, false, true).dataSync();
    expect(largestError(logits, wanted)).toBeLessThan(1e-3);
  });

  it.each(MODELS)('%s: chosen rows equal those of the whole, gradients included', async (name) => {
    const { trunk, using } = await load(name);
    const batch = {
      ids: Int32Array.from({ length: 14 }, (_, i) => (i * 37) % 199),
      batch: 2,
      length: 7,
      lengths: Int32Array.of(7, 5),
    };
    const rows = Int32Array.of(2, 3, 9, 11);
    const weight = 'model.layers.1.mlp.up_proj.weight';
    const through = (states: (w: tf.Tensor) => tf.Tensor): { value: tf.Tensor; grad: tf.Tensor } =>
      tf.valueAndGrad((w) => tf.sum(tf.square(states(w))))(using.weights[weight]);
    const own = (w: tf.Tensor): ForwardWeights => ({ weights: { ...using.weights, [weight]: w }, adapter: null });
    const some = through((w) => trunk.forwardAt(batch, rows, own(w)));
    const all = through((w) =>
      tf.gather(tf.reshape(trunk.forward(batch, own(w)), [14, -1]), tf.tensor1d(rows, 'int32')),
    );
    expect(some.value.dataSync()[0]).toBeCloseTo(all.value.dataSync()[0], 3);
    expect(largestError(some.grad.dataSync(), all.grad.dataSync())).toBeLessThan(1e-4);
  });

  it.each(MODELS)('%s: a shared prefix computed once changes no state, and no bit of a cache', async (name) => {
    const { trunk, using } = await load(name);
    const prefix = Int32Array.of(5, 17, 120, 3, 66, 9);
    const rest = [Int32Array.of(8, 1, 44, 2), Int32Array.of(90), Int32Array.of(12, 12, 7)];
    const lengths = Int32Array.from(rest, (ids) => ids.length);
    const padded = (rows: readonly Int32Array[], length: number): Int32Array => {
      const ids = new Int32Array(rows.length * length);
      rows.forEach((row, b) => ids.set(row, b * length));
      return ids;
    };
    const apart = { prefix, ids: padded(rest, 4), batch: 3, length: 4, lengths };
    const whole = {
      ids: padded(rest.map((ids) => Int32Array.of(...prefix, ...ids)), 10), // prettier-ignore
      ...{ batch: 3, length: 10, lengths: lengths.map((length) => length + 6) },
    };
    const rows = [0, 1, 2, 3, 4, 8, 9, 10];
    const states = trunk.forwardAt(apart, Int32Array.from(rows), using).dataSync();
    const wanted = trunk.forwardAt(whole, Int32Array.from(rows, (row) => Math.floor(row / 4) * 10 + 6 + (row % 4)), using).dataSync(); // prettier-ignore
    expect(largestError(states, wanted)).toBeLessThan(1e-5);
    const all = tf.gather(trunk.forward(apart, using).reshape([12, -1]), tf.tensor1d(rows, 'int32')).dataSync();
    expect(largestError(all, wanted)).toBeLessThan(1e-5);

    const walk = (batch: TokenBatch): Float32Array[] => {
      const cache = trunk.openCache(3, 32);
      const first = trunk.prefill(cache, batch, using);
      const second = trunk.decode(cache, tf.tensor1d([4, 5, 6], 'int32'));
      expect([...cache.lengths]).toEqual([11, 8, 10]);
      cache.dispose();
      return [first.dataSync() as Float32Array, second.dataSync() as Float32Array];
    };
    expect(walk(apart)).toEqual(walk(whole));
  });

  it.each(MODELS)('%s: cached greedy decoding gives the reference tokens and logits', async (name) => {
    const { trunk, using, head } = await load(name);
    const expected = await openSafetensors(await openPath(`${FIXTURES}/${name}/expected.safetensors`));
    const prompt = await readInts(expected, 'greedy_prompt');
    const wantedIds = await readInts(expected, 'greedy_ids');
    const wanted = await readFloats(expected, 'greedy_logits');
    const vocab = trunk.config.vocab;
    const cache = trunk.openCache(1, 64);
    let hidden = trunk.prefill(
      cache,
      { ids: prompt, batch: 1, length: prompt.length, lengths: Int32Array.of(prompt.length) },
      using,
    );
    const ids: number[] = [];
    for (let step = 0; step < wantedIds.length; step++) {
      const logits = tf.matMul(hidden, head, false, true).dataSync() as Float32Array;
      expect(largestError(logits, wanted.slice(step * vocab, (step + 1) * vocab))).toBeLessThan(1e-3);
      ids.push(logits.indexOf(Math.max(...logits)));
      hidden = trunk.decode(cache, tf.tensor1d([ids[step]], 'int32'));
    }
    expect(ids).toEqual([...wantedIds]);
    cache.dispose();
  });
});
