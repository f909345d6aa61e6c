/** What is kept of prompts, on a shelf that keeps their tokens: found under the same weights alone, within its bound. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it } from 'vitest';
import { PrefixStore, type Shelf } from './prefix-store.ts';
import type { ForwardWeights } from './trunk.ts';

/** A slot that holds a token for every position. */
type Slot = { ids: number[] };

function store(mostBytes: number): { prefixes: PrefixStore<Slot, number[]>; shelved: Set<number[]> } {
  const shelved = new Set<number[]>();
  const shelf: Shelf<Slot, number[]> = {
    bytesOf: (_, __, positions) => positions,
    keep: ({ ids }, first, positions) => {
      const kept = ids.slice(first, first + positions);
      shelved.add(kept);
      return kept;
    },
    take: (kept, within, { ids }, first, positions) =>
      ids.splice(first, positions, ...kept.slice(within, within + positions)),
    drop: (kept) => void shelved.delete(kept),
  };
  return { prefixes: new PrefixStore(shelf, mostBytes), shelved };
}

const weights = (): ForwardWeights => ({ weights: { w: tf.scalar(1) }, adapter: null });
const some = (seed: number, length: number): Int32Array => Int32Array.from({ length }, (_, i) => i * seed + seed);

function keep(prefixes: PrefixStore<Slot, number[]>, prompt: Int32Array, using: ForwardWeights): void {
  prefixes.keep(prompt, using, { ids: [...prompt] });
}

describe('beginnings that are kept', () => {
  it('come back as they were, but for the last token', () => {
    const { prefixes } = store(1000);
    const using = weights();
    const [a, b] = [some(1, 40), Int32Array.of(...some(1, 40), ...some(3, 30))];
    keep(prefixes, a, using);
    keep(prefixes, b, using);
    expect(prefixes.known(a, using)).toBe(39);
    for (const prompt of [a, b]) {
      const slot: Slot = { ids: [] };
      prefixes.take(prompt, using, slot);
      expect(slot.ids).toEqual([...prompt.subarray(0, prompt.length - 1)]);
    }
    expect(prefixes.bytes).toBe(70);
  });

  it('are of their own weights, adapter and precision, and go when those do', () => {
    const { prefixes, shelved } = store(1000);
    const [own, other] = [weights(), weights()];
    const prompt = some(1, 40);
    keep(prefixes, prompt, own);
    for (const using of [other, { ...own, rollout: 'q8' as const }, { ...own, adapter: { scale: 1, layers: {} } }])
      expect(prefixes.known(prompt, using)).toBe(0);
    expect(prefixes.known(prompt, { ...own, rollout: 'f32' })).toBe(39);
    tf.dispose(own.weights as tf.NamedTensorMap);
    expect(prefixes.known(prompt, other)).toBe(0);
    expect(shelved.size).toBe(0);
  });

  it('stay within their bound: what was used longest ago goes', () => {
    const { prefixes, shelved } = store(100);
    const using = weights();
    const [a, b, c] = [some(1, 40), some(3, 40), some(5, 40)];
    keep(prefixes, a, using);
    keep(prefixes, b, using);
    prefixes.known(a, using);
    keep(prefixes, c, using);
    expect([a, b, c].map((prompt) => prefixes.known(prompt, using))).toEqual([39, 0, 39]);
    keep(prefixes, some(7, 101), using);
    expect(prefixes.bytes).toBeLessThanOrEqual(100);
    prefixes.clear();
    expect(shelved.size).toBe(0);
  });

  it('are not worth it below sixteen tokens', () => {
    const { prefixes } = store(100);
    const using = weights();
    keep(prefixes, some(1, 15), using);
    expect(prefixes.bytes).toBe(0);
  });
});
