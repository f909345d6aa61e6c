/** The fast trunk against the plain one and against transformers' own numbers: prompts, steps, adapters, shrinking batches. */
import '../device/register.node.ts';
import * as tf from '@tensorflow/tfjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findAdapter } from '../device/adapter.ts';
import { openDevice, type Device } from '../device/open.ts';
import { parameterShapes, type ModelConfig } from '../formats/config.ts';
import { makeTfjsTrunk } from '../model/tfjs-trunk.ts';
import type { Adapter, Cache, ForwardWeights, TokenBatch, Trunk } from '../model/trunk.ts';
import type { FastCache } from './fast-cache.ts';
import { makeFastTrunk } from './fast-trunk.ts';
import { activeGpu } from './gpu.ts';
import { GPU_TUNING, SOFTWARE_TUNING } from './kernel.ts';
import { packed } from './kernels/packed-testing.ts';
import { unpackedReference } from './kernels/pack-weights.ts';
import { largestDifference, someNumbers } from './testing.ts';

const adapter = await findAdapter();
const absent = typeof adapter === 'string' ? `skipped: ${adapter}` : null;

const CONFIG: ModelConfig = {
  ...{ architecture: 'qwen3', hidden: 32, intermediate: 72, layers: 2, heads: 4, kvHeads: 2, headDim: 8, vocab: 101 },
  ...{ contextLength: 120, ropeTheta: 10_000, ropeScaling: null, rmsEps: 1e-6, tied: true },
  ...{ attentionBias: true, qkNorm: true, eosIds: [7], bosId: null, padId: null },
};

const SAMPLED = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 1, stop: [], seed: 1 };

function someWeights(): Record<string, tf.Tensor> {
  const weights: Record<string, tf.Tensor> = {};
  let seed = 0;
  for (const [name, shape] of parameterShapes(CONFIG)) {
    const size = shape.reduce((product, d) => product * d, 1);
    const values = someNumbers(size, ++seed, 0.4);
    weights[name] = tf.tensor(name.includes('norm') ? values.map((v) => v + 1) : values, [...shape]);
  }
  return weights;
}

/** On some layers only, with a rank that is no multiple of four. */
function someAdapter(first = 0): Adapter {
  const rank = 6;
  const low = (out: number, columns: number, seed: number) => ({
    a: tf.tensor2d(someNumbers(rank * columns, first + seed, 0.5), [rank, columns]),
    b: tf.tensor2d(someNumbers(out * rank, first + seed + 50, 0.5), [out, rank]),
  });
  return {
    scale: 0.7,
    layers: {
      'model.layers.0.self_attn.q_proj': low(32, 32, 1),
      'model.layers.0.self_attn.v_proj': low(16, 32, 2),
      'model.layers.0.self_attn.o_proj': low(32, 32, 3),
      'model.layers.1.mlp.up_proj': low(72, 32, 4),
      'model.layers.1.mlp.down_proj': low(32, 72, 5),
    },
  };
}

function someBatch(lengths: readonly number[]): TokenBatch {
  const length = Math.max(...lengths) + 2;
  const ids = new Int32Array(lengths.length * length);
  for (const [row, own] of lengths.entries())
    for (let t = 0; t < own; t++) ids[row * length + t] = (row * 31 + t * 17) % CONFIG.vocab;
  return { prefix: Int32Array.of(5, 90), ids, batch: lengths.length, length, lengths: Int32Array.from(lengths) };
}

describe.skipIf(absent)(`the fast trunk ${absent ?? ''}`, () => {
  let device: Device;
  let weights: Record<string, tf.Tensor>;
  let plain: Trunk;
  let fast: Trunk;
  /** Keeps nothing of prompts from call to call. */
  let forgetful: Trunk;
  const someTrunk = (prefixBytes?: number): Trunk =>
    makeFastTrunk(activeGpu(), CONFIG, { ...SOFTWARE_TUNING, outputs: 2, rows: [2] }, undefined, prefixBytes);

  beforeAll(async () => {
    device = await openDevice('webgpu');
    weights = someWeights();
    plain = makeTfjsTrunk(CONFIG);
    fast = someTrunk();
    forgetful = someTrunk(0);
  });
  afterAll(() => device.close());

  /** States after prompts, two steps, another prompt in slot 1, a step, and one more with only the slots 2 and 0. */
  async function walk(trunk: Trunk, using: ForwardWeights): Promise<Float32Array[]> {
    const out: Float32Array[] = [];
    const cache = trunk.openCache(3, 40, [using]);
    const keep = async (states: tf.Tensor): Promise<void> => {
      out.push(Float32Array.from(await states.data()));
      states.dispose();
    };
    await keep(trunk.prefill(cache, someBatch([5, 1, 12]), using));
    for (const ids of [[3, 4, 5], [9, 100, 0]]) await keep(step(trunk, cache, ids)); // prettier-ignore
    await keep(trunk.prefill(cache, someBatch([3]), using, Int32Array.of(1)));
    await keep(step(trunk, cache, [7, 8, 9]));
    cache.select(Int32Array.of(2, 0));
    await keep(step(trunk, cache, [50, 60]));
    expect([...cache.lengths]).toEqual([18, 11]);
    cache.dispose();
    return out;
  }

  const step = (trunk: Trunk, cache: ReturnType<Trunk['openCache']>, ids: number[]): tf.Tensor => {
    const tensor = tf.tensor1d(ids, 'int32');
    const states = trunk.decode(cache, tensor);
    tensor.dispose();
    return states;
  };

  it.each(['base', 'adapter'])("gives the plain trunk's states: %s", { timeout: 300_000 }, async (kind) => {
    const using: ForwardWeights = { weights, adapter: kind === 'base' ? null : someAdapter() };
    const wanted = await walk(plain, using);
    await walk(fast, using); // what is packed stays
    const before = tf.memory().numTensors;
    const got = await walk(fast, using);
    expect(tf.memory().numTensors).toBe(before);
    for (const [i, states] of wanted.entries()) expect(largestDifference(got[i], states)).toBeLessThan(2e-4);
  });

  it('gives them, and each prompt its own bits, as cut for a GPU', { timeout: 300_000 }, async () => {
    const using: ForwardWeights = { weights, adapter: null };
    // The longest prompt's keys take two spans.
    const trunk = makeFastTrunk(activeGpu(), CONFIG, { ...GPU_TUNING, rows: [2], team: 32, span: 32 }, undefined, 0);
    const wanted = await walk(plain, using);
    for (const [i, states] of (await walk(trunk, using)).entries())
      expect(largestDifference(states, wanted[i])).toBeLessThan(2e-4);
    // Of so many, products leave the norm to a kernel of its own; alone each normalises its row.
    const prompts = [Array.from({ length: 50 }, (_, t) => (t * 13) % 101), [4, 5, 6], [9], [1], [2], [3, 4]];
    const voice = someAdapter();
    for (const own of [using, { weights, adapter: voice, ...(trunk.halves ? { activations: 'f16' as const } : {}) }]) {
      const together = await statesOf(trunk, prompts, own);
      for (const [row, prompt] of prompts.entries())
        expect((await statesOf(trunk, [prompt], own))[0]).toEqual(together[row]);
      const off = own === using ? 2e-4 : 2e-2;
      for (const [row, states] of (await statesOf(plain, prompts, { weights, adapter: own.adapter })).entries())
        expect(largestDifference(together[row], states)).toBeLessThan(off);
    }
    disposeAdapter(voice);
    trunk.dispose();
  });

  it.each([{ keys: 'f16' }, { activations: 'f16' }, { keys: 'f16', activations: 'f16', rollout: 'f16' }] as const)(
    'samples with half floats if asked, not far from the exact ones: %j',
    { timeout: 300_000 },
    async (how) => {
      if (how.activations === 'f16' && !fast.halves) return;
      const adapter = someAdapter();
      const wanted = await walk(plain, { weights, adapter });
      const got = await walk(fast, { weights, adapter, ...how });
      const worst = wanted.map((states, i) => largestDifference(got[i], states));
      for (const one of worst) expect(one).toBeLessThan(2e-2);
      expect(Math.max(...worst)).toBeGreaterThan(1e-5);
    },
  );

  /** What the trunk's linear layers read after packing. */
  async function asPacked(precision: 'f16' | 'q8' | 'q4'): Promise<Record<string, tf.Tensor>> {
    const entries = Object.entries(weights).map(async ([name, tensor]): Promise<[string, tf.Tensor]> => {
      if (!name.includes('proj.weight')) return [name, tensor];
      const [rows, columns] = tensor.shape as [number, number];
      const words = await packed(precision, [(await tensor.data()) as Float32Array], columns);
      return [name, tf.tensor2d(unpackedReference(precision, words, rows, columns), [rows, columns])];
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  it.each(['f16', 'q8', 'q4'] as const)(
    'samples with %s weights as if they were all',
    { timeout: 300_000 },
    async (rollout) => {
      const wanted = await walk(plain, { weights: await asPacked(rollout), adapter: someAdapter() });
      const got = await walk(fast, { weights, adapter: someAdapter(), rollout, keys: 'f32' });
      for (const [i, states] of wanted.entries()) expect(largestDifference(got[i], states)).toBeLessThan(2e-4);
      const exact = await walk(fast, { weights, adapter: someAdapter() });
      expect(largestDifference(got[0], exact[0])).toBeGreaterThan(1e-5);
    },
  );

  it('packs weights once, and forgets what was packed of weights that are gone', () => {
    const own = someWeights();
    const other = someTrunk();
    const runWith = (using: ForwardWeights): number => {
      const cache = other.openCache(2, 8);
      other.prefill(cache, someBatch([3, 2]), using).dispose();
      cache.dispose();
      return tf.memory().numTensors;
    };
    const before = runWith({ weights, adapter: null });
    const more = runWith({ weights: own, adapter: null, rollout: 'q8' });
    expect(more).toBeGreaterThan(before);
    expect(runWith({ weights: own, adapter: null, rollout: 'q8' })).toBe(more);
    tf.dispose(own);
    expect(runWith({ weights, adapter: null })).toBe(before - Object.keys(own).length);
    other.dispose();
  });

  it('gives a sequence the same bits alone and in a batch', { timeout: 300_000 }, async () => {
    const using: ForwardWeights = { weights, adapter: null };
    const states = async (lengths: number[], row: number): Promise<Float32Array> => {
      const cache = fast.openCache(lengths.length, 320);
      const first = fast.prefill(cache, someBatch(lengths), using);
      const second = step(fast, cache, lengths.map((_, i) => i === row ? 42 : 7)); // prettier-ignore
      const all = (await second.data()) as Float32Array;
      tf.dispose([first, second]);
      cache.dispose();
      return all.slice(row * CONFIG.hidden, (row + 1) * CONFIG.hidden);
    };
    // The first prompt is row 0 both times; alone it takes two passes, in company the passes are cut elsewhere.
    expect(await states([300, 5, 33, 1, 2, 3, 4, 9, 11], 0)).toEqual(await states([300], 0));
  });

  /** Of each prompt its last state, and that after one more token. */
  async function statesOf(trunk: Trunk, some: readonly number[][], using: ForwardWeights): Promise<Float32Array[]> {
    const length = Math.max(...some.map((own) => own.length));
    const ids = new Int32Array(some.length * length);
    some.forEach((own, row) => ids.set(own, row * length));
    const cache = trunk.openCache(some.length, 256, [using]);
    const lengths = Int32Array.from(some, (own) => own.length);
    const hidden = [trunk.prefill(cache, { ids, batch: some.length, length, lengths }, using)];
    hidden.push(step(trunk, cache, some.map(() => 42)) as tf.Tensor2D); // prettier-ignore
    const all = await Promise.all(hidden.map((each) => each.data()));
    tf.dispose(hidden);
    cache.dispose();
    return some.map((_, row) => Float32Array.of(...all.flatMap((each) => [...each.slice(row * 32, row * 32 + 32)])));
  }

  const disposeAdapter = ({ layers }: Adapter): void => {
    for (const { a, b } of Object.values(layers)) tf.dispose([a, b]);
  };

  it('gives prompts that begin alike the bits they have alone', { timeout: 300_000 }, async () => {
    const using: ForwardWeights = { weights, adapter: null };
    const prompt = (own: number[]): number[] => [...Array.from({ length: 30 }, (_, t) => (t * 13) % 101), ...own];
    const prompts = [prompt([1, 2]), prompt([1, 2]), prompt([3]), prompt([3, 4, 5]), [9]];
    const together = await statesOf(forgetful, prompts, using);
    for (const [row, own] of prompts.entries())
      expect((await statesOf(forgetful, [own], using))[0]).toEqual(together[row]);
  });

  it('changes no bit of prompts whose beginnings earlier calls computed', { timeout: 300_000 }, async () => {
    const history = Array.from({ length: 40 }, (_, t) => (t * 19) % 101);
    const calls = [
      [[...history.slice(0, 20), 5], [...history.slice(0, 20), 6, 7]],
      [history, [...history.slice(0, 30), 8]],
      [[...history, ...history.slice(0, 10)], history, [3]],
    ]; // prettier-ignore
    // In the smallest, what one call keeps does not last until the next.
    for (const [prefixBytes, reused] of [
      [undefined, 3],
      [40_000, null],
      [8_000, 0],
    ] as const) {
      const trunk = someTrunk(prefixBytes);
      const own = someAdapter(7);
      const voices: ForwardWeights[] = [
        { weights, adapter: null },
        { weights, adapter: own },
        { weights, adapter: null, rollout: 'f16', keys: 'f16' },
      ];
      let saved = 0;
      for (const prompts of calls)
        for (const using of voices) {
          const { dispatches } = activeGpu();
          const wanted = await statesOf(forgetful, prompts, using);
          const without = activeGpu().dispatches - dispatches;
          expect(await statesOf(trunk, prompts, using)).toEqual(wanted);
          // The third call's first prompts both go on from the second's: one wave instead of two.
          if (activeGpu().dispatches - dispatches - without < without) saved++;
        }
      if (reused !== null) expect(saved).toBe(reused);
      trunk.dispose();
      disposeAdapter(own);
    }
  });

  it('computes again what other weights computed', { timeout: 300_000 }, async () => {
    const prompt = Array.from({ length: 40 }, (_, t) => (t * 7) % 101);
    const trunk = someTrunk();
    const [before, after] = [someAdapter(1), someAdapter(2)];
    await statesOf(trunk, [prompt], { weights, adapter: before });
    disposeAdapter(before);
    const tensors = tf.memory().numTensors;
    const got = await statesOf(trunk, [prompt], { weights, adapter: after });
    expect(got).toEqual(await statesOf(forgetful, [prompt], { weights, adapter: after }));
    expect(tf.memory().numTensors).toBe(tensors); // the stretch of the old adapter made way for one of the new
    disposeAdapter(after);
    trunk.dispose();
  });

  it('runs every slot with its own adapter, and gives it the bits it has alone', { timeout: 300_000 }, async () => {
    const voices = [someAdapter(), null, someAdapter(20)].map((adapter): ForwardWeights => ({ weights, adapter }));
    const walkWith = async (who: readonly ForwardWeights[]): Promise<Float32Array[]> => {
      const cache = fast.openCache(who.length, 40, who);
      const prompts = who.map((using, slot) => fast.prefill(cache, someBatch([9]), using, Int32Array.of(slot)));
      const second = step(fast, cache, who.map(() => 42)); // prettier-ignore
      const all = Float32Array.from(await second.data());
      tf.dispose([...prompts, second]);
      cache.dispose();
      return who.map((_, slot) => all.slice(slot * CONFIG.hidden, (slot + 1) * CONFIG.hidden));
    };
    const together = await walkWith(voices);
    for (const [slot, using] of voices.entries()) expect((await walkWith([using]))[0]).toEqual(together[slot]);
    expect(together[0]).not.toEqual(together[2]);
  });

  it.each([0, 5])('takes one submission and at most 8 dispatches a layer and 6 more for a token: top-k %i', (topK) => {
    const using: ForwardWeights = { weights, adapter: null };
    const gpu = activeGpu();
    const cache = fast.openCache(2, 8);
    fast.prefill(cache, someBatch([3, 2]), using).dispose();
    const [dispatches, submits] = [gpu.dispatches, gpu.submits];
    const sampling = { ...SAMPLED, topK };
    const ids = tf.tensor1d([1, 2], 'int32');
    const draw = fast.drawing!.next(cache, ids, [3, 2].map((position) => ({ sampling, position }))); // prettier-ignore
    expect(gpu.submits - submits).toBe(1);
    expect(gpu.dispatches - dispatches).toBeLessThanOrEqual(8 * CONFIG.layers + 6);
    tf.dispose([ids, draw.ids, draw.numbers]);
    cache.dispose();
  });

  it('takes no more on a GPU, where long rows are walked in spans', { timeout: 300_000 }, async () => {
    const gpu = activeGpu();
    const trunk = makeFastTrunk(gpu, CONFIG, { ...GPU_TUNING, rows: [2] }, undefined, 0);
    const using: ForwardWeights = { weights, adapter: null };
    const cache = trunk.openCache(2, GPU_TUNING.span! + 64, [using]);
    const counted = async (lengths: readonly number[]): Promise<number> => {
      trunk.prefill(cache, someBatch(lengths), using).dispose();
      const ids = tf.tensor1d([1, 2], 'int32');
      const before = gpu.dispatches;
      const draws = lengths.map((position) => ({ sampling: SAMPLED, position }));
      const draw = trunk.drawing!.next(cache, ids, draws);
      const dispatches = gpu.dispatches - before;
      expect((await draw.ids.data()).every((id) => id < CONFIG.vocab)).toBe(true);
      tf.dispose([ids, draw.ids, draw.numbers]);
      return dispatches;
    };
    const [short, long] = [await counted([3, 2]), await counted([GPU_TUNING.span! + 20, 2])];
    expect(long).toBe(short + CONFIG.layers); // one more a layer puts the spans together
    expect(long).toBeLessThanOrEqual(8 * CONFIG.layers + 6);
    cache.dispose();
    trunk.dispose();
  });

  /** Prompts of 100 tokens alike, then of their own. */
  const sample = (...own: number[]): number[] => [...Array.from({ length: 100 }, (_, t) => (t * 13) % 101), ...own];

  it(
    'shares the pages of prompts that begin alike with who comes later, to the bit',
    { timeout: 300_000 },
    async () => {
      const using: ForwardWeights = { weights, adapter: null };
      const some = [sample(1, 2), sample(), sample(3), sample(1, 2, 3), [...sample(), ...sample(9)]];
      const free = (cache: Cache): number => (cache as FastCache).free;
      const cache = forgetful.openCache(5, 256, [using], 64 * 12);
      expect(free(cache)).toBe(12);
      const prompt = async (slot: number): Promise<Float32Array> => {
        const ids = Int32Array.from(some[slot]);
        const batch = { ids, batch: 1, length: ids.length, lengths: Int32Array.of(ids.length) };
        const hidden = forgetful.prefill(cache, batch, using, Int32Array.of(slot), [ids.length + 20]);
        const states = Float32Array.from(await hidden.data());
        hidden.dispose();
        return states;
      };
      const next = async (ids: number[]): Promise<Float32Array> => {
        const states = step(forgetful, cache, ids);
        const all = Float32Array.from(await states.data());
        states.dispose();
        return all;
      };
      const wanted = (await statesOf(forgetful, some, using)).map((both) => [both.slice(0, 32), both.slice(32)]);
      for (const slot of [0, 1, 2]) expect(await prompt(slot)).toEqual(wanted[slot][0]);
      // Two pages, and a second one for each of the others.
      expect(free(cache)).toBe(12 - 4);
      // All three write to the page they part in.
      const three = await next([42, 42, 42, 0, 0]);
      for (const slot of [0, 1, 2]) expect(three.slice(slot * 32, slot * 32 + 32)).toEqual(wanted[slot][1]);
      for (const slot of [3, 4]) expect(await prompt(slot)).toEqual(wanted[slot][0]);
      expect(free(cache)).toBe(12 - 4 - 1 - 3);
      // Whose page it was goes; the others keep it.
      cache.empty(0);
      expect(free(cache)).toBe(12 - 4 - 3);
      cache.select(Int32Array.of(4, 3));
      expect(free(cache)).toBe(12 - 1 - 4);
      const two = await next([42, 42]);
      expect(two.slice(0, 32)).toEqual(wanted[4][1]);
      expect(two.slice(32)).toEqual(wanted[3][1]);
      cache.dispose();
    },
  );

  it('seats as many as find pages, and leaves nothing of who found none', { timeout: 300_000 }, async () => {
    const using: ForwardWeights = { weights, adapter: null };
    const cache = forgetful.openCache(4, 256, [using], 256);
    const wanted = [sample(1), sample(2), [...sample(3), ...sample(4)]].map((promptIds) => ({ promptIds, span: 120 }));
    expect(forgetful.room!(cache, wanted.slice(0, 2), using)).toBe(2);
    expect(forgetful.room!(cache, [...wanted.slice(0, 2), { ...wanted[2], span: 210 }], using)).toBe(2);
    expect(forgetful.room!(cache, [{ ...wanted[0], span: 257 }], using)).toBe(0);
    const tensors = tf.memory().numTensors;
    const ids = Int32Array.from(wanted.slice(0, 2).flatMap(({ promptIds }) => promptIds));
    const both = { ids, batch: 2, length: 101, lengths: Int32Array.of(101, 101) };
    expect(() => forgetful.prefill(cache, both, using, Int32Array.of(0, 1), [120, 250])).toThrow('out of memory');
    expect(tf.memory().numTensors).toBe(tensors);
    expect((cache as FastCache).free).toBe(4);
    forgetful.prefill(cache, both, using, Int32Array.of(0, 1), [120, 120]).dispose();
    expect((cache as FastCache).free).toBe(1);
    cache.dispose();
  });

  it('refuses to go beyond its capacity', () => {
    const using: ForwardWeights = { weights, adapter: null };
    const cache = fast.openCache(1, 7);
    fast.prefill(cache, someBatch([5]), using).dispose();
    expect(() => step(fast, cache, [1])).toThrow('KV cache full: 7 positions');
    cache.dispose();
  });
});
