/** Warping against Hugging Face's own distributions, and the choice of tokens against the distribution it claims. */
import { describe, expect, it } from 'vitest';
import { openSafetensors, readFloats } from '../formats/safetensors.ts';
import { FIXTURES, missing, openPath } from '../formats/test-support.node.ts';
import type { Sampling } from '../protocol.ts';
import { chooseToken, inverseCdf, warpedProbabilities, type Warp } from './sample.ts';

const PLAIN: Sampling = { temperature: 1, topK: 0, topP: 1, minP: 0, maxTokens: 1, stop: [], seed: 1 };
const FIXTURE = `${FIXTURES}/estimators.safetensors`;

const CASES: readonly [name: string, warp: Warp][] = [
  ['sample.t0.7', { temperature: 0.7, topK: 0, topP: 1, minP: 0 }],
  ['sample.t0.7_k20', { temperature: 0.7, topK: 20, topP: 1, minP: 0 }],
  ['sample.t0.7_k20_p0.9', { temperature: 0.7, topK: 20, topP: 0.9, minP: 0 }],
  ['sample.t1.0_minp0.05', { temperature: 1, topK: 0, topP: 1, minP: 0.05 }],
  ['sample.t1.0_p0.8', { temperature: 1, topK: 0, topP: 0.8, minP: 0 }],
];

const absent = missing(FIXTURE);

describe.skipIf(absent)(`warping as Hugging Face does it ${absent ?? ''}`, () => {
  it.each(CASES)('%s', async (name, warp) => {
    const file = await openSafetensors(await openPath(FIXTURE));
    const [rows, vocab] = file.entries.get(name)!.shape;
    const logits = await readFloats(file, 'sample.logits');
    const wanted = await readFloats(file, name);
    for (let row = 0; row < rows; row++) {
      const got = warpedProbabilities(logits.slice(row * vocab, (row + 1) * vocab), warp);
      for (let i = 0; i < vocab; i++) expect(Math.abs(got[i] - wanted[row * vocab + i])).toBeLessThan(1e-5);
    }
  });
});

describe('chooseToken', () => {
  const logits = Float32Array.from([0.5, -1, 2, 0, 1.5]);
  const probabilities = warpedProbabilities(logits, PLAIN);

  it('draws every token as often as its probability says', () => {
    const counts = new Array<number>(5).fill(0);
    const draws = 20_000;
    for (let position = 0; position < draws; position++) counts[chooseToken(logits, PLAIN, position).id]++;
    const chiSquare = counts.reduce(
      (sum, count, i) => sum + (count - draws * probabilities[i]) ** 2 / (draws * probabilities[i]),
      0,
    );
    expect(chiSquare).toBeLessThan(18.5); // 4 degrees of freedom, p = 0.001
  });

  it('reports log-prob and entropy of the untempered distribution whatever the sampling', () => {
    const entropy = -probabilities.reduce((sum, p) => sum + p * Math.log(p), 0);
    for (const sampling of [PLAIN, { ...PLAIN, temperature: 0 }, { ...PLAIN, temperature: 0.3, topK: 2 }]) {
      const choice = chooseToken(logits, sampling, 3);
      expect(choice.logprob).toBeCloseTo(Math.log(probabilities[choice.id]), 6);
      expect(choice.entropy).toBeCloseTo(entropy, 6);
    }
  });

  it('is greedy at temperature 0', () => expect(chooseToken(logits, { ...PLAIN, temperature: 0 }, 9).id).toBe(2));

  it('says when the model is broken', () =>
    expect(() => chooseToken(Float32Array.from([NaN, NaN]), PLAIN, 0)).toThrow(/no finite logits/));
});

describe('inverseCdf', () => {
  it('skips what was cut off and survives rounding at the end', () => {
    expect(inverseCdf(Float64Array.from([0, 0.5, 0, 0.5, 0]), 0)).toBe(1);
    expect(inverseCdf(Float64Array.from([0, 0.5, 0, 0.4999, 0]), 0.99999)).toBe(3);
  });
});
