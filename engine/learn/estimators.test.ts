/** Advantage estimators against the golden fixtures, and what must hold of them on any input. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSafetensors, readFloats, readInts, type SafetensorsFile } from '../formats/safetensors.ts';
import { FIXTURES, missing, openPath } from '../formats/test-support.node.ts';
import { gae, rewardToGo } from './gae.ts';
import { groupAdvantages, zeroSpreadShare, type GroupEstimator } from './groups.ts';
import { klEstimate } from './kl.ts';
import { scopeOf, whiten } from './whiten.ts';

const PATH = `${FIXTURES}/estimators.safetensors`;
const absent = missing(PATH);

const largestGap = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])));

describe.skipIf(absent)(`golden estimators ${absent ?? ''}`, () => {
  const file = (): Promise<SafetensorsFile> => openPath(PATH).then(openSafetensors);

  /** Masked positions of a [6, 20] array, row after row, with each row's start. */
  async function masked(source: SafetensorsFile, name: string): Promise<{ flat: Float32Array; starts: Uint32Array }> {
    const [all, mask] = [await readFloats(source, name), await readFloats(source, 'mask')];
    const lengths = Array.from({ length: 6 }, (_, r) => mask.subarray(r * 20, r * 20 + 20).reduce((a, b) => a + b, 0));
    return {
      flat: all.filter((_, i) => mask[i] === 1),
      starts: Uint32Array.from([0, ...lengths.map((_, r) => lengths.slice(0, r + 1).reduce((a, b) => a + b, 0))]),
    };
  }

  it.each([
    ['1.0_1.0', 1, 1],
    ['0.99_0.95', 0.99, 0.95],
  ] as const)('GAE %s: advantages, returns, whitened', async (name, gamma, lambda) => {
    // prettier-ignore
    const source = await file();
    const [{ flat: rewards, starts }, { flat: values }] = [
      await masked(source, 'rewards'),
      await masked(source, 'values'),
    ];
    const { advantages, returns } = gae(rewards, values, starts, gamma, lambda);
    expect(largestGap(advantages, (await masked(source, `gae_${name}.advantages`)).flat)).toBeLessThan(1e-5);
    expect(largestGap(returns, (await masked(source, `gae_${name}.returns`)).flat)).toBeLessThan(1e-5);
    expect(
      largestGap(whiten(advantages, starts, Array(6).fill('')), (await masked(source, `gae_${name}.whitened`)).flat),
    ).toBeLessThan(1e-5);
  });

  it.each([
    ['grpo', 'grpo'],
    ['dr-grpo', 'dr_grpo'],
    ['rloo', 'rloo'],
  ] as const)('%s', async (estimator, name) => {
    // prettier-ignore
    const source = await file();
    const groups = Array.from(await readInts(source, 'group.ids'), String);
    const ours = groupAdvantages(await readFloats(source, 'group.scores'), groups, estimator);
    expect(largestGap(ours, await readFloats(source, `group.${name}`))).toBeLessThan(1e-5);
  });

  it.each(['k1', 'k2', 'k3'] as const)('KL %s', async (kind) => {
    const source = await file();
    const [logp, ref] = [await readFloats(source, 'kl.logp'), await readFloats(source, 'kl.ref')];
    expect(
      largestGap(
        Array.from(logp, (x, i) => klEstimate(x, ref[i], kind)),
        await readFloats(source, `kl.${kind}`),
      ),
    ).toBeLessThan(1e-5);
  });
});

const finite = fc.float({ min: -100, max: 100, noNaN: true });

describe('GAE', () => {
  it('is reward to go less value for gamma = lambda = 1, and responses never touch each other', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.tuple(finite, finite), { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 5 }),
        (responses) => {
          const starts = Uint32Array.from([
            0,
            ...responses.map((_, r) => responses.slice(0, r + 1).reduce((n, x) => n + x.length, 0)),
          ]);
          const rewards = Float32Array.from(responses.flat(), ([r]) => r);
          const values = Float32Array.from(responses.flat(), ([, v]) => v);
          const { advantages, returns } = gae(rewards, values, starts, 1, 1);
          responses.forEach((response, r) => {
            const alone = rewards.slice(starts[r], starts[r + 1]).reduce((a, b) => a + b, 0);
            expect(returns[starts[r]]).toBeCloseTo(alone, 2);
            expect(advantages[starts[r]]).toBeCloseTo(alone - response[0][1], 2);
          });
        },
      ),
    );
  });

  it('discounts a last-token reward by its distance', () => {
    expect([...rewardToGo(Float32Array.of(0, 0, 8), Uint32Array.of(0, 3), 0.5)]).toEqual([2, 4, 8]);
  });
});

describe('whitening', () => {
  const roles = ['a', 'b', 'a'].map((role, turn) => ({ role, turn }));
  const starts = Uint32Array.of(0, 2, 5, 7);
  const advantages = Float32Array.of(1, 2, 30, 10, 20, 5, 4);

  it.each(['policy', 'role', 'role+turn'] as const)('scope %s: mean 0 and variance 1 in every scope', (scope) => {
    const groups = roles.map((record) => scopeOf(record, scope));
    const out = whiten(advantages, starts, groups);
    for (const group of new Set(groups)) {
      const own = [...out].filter((_, t) => groups[starts.findIndex((s) => s > t) - 1] === group);
      const mean = own.reduce((a, b) => a + b, 0) / own.length;
      expect(mean).toBeCloseTo(0, 5);
      expect(own.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (own.length - 1)).toBeCloseTo(1, 5);
    }
  });

  it('tells roles from turns, and leaves a single token alone', () => {
    expect(new Set(roles.map((record) => scopeOf(record, 'role'))).size).toBe(2);
    expect(new Set(roles.map((record) => scopeOf(record, 'role+turn'))).size).toBe(3);
    expect([...whiten(Float32Array.of(7), Uint32Array.of(0, 1), ['x'])]).toEqual([7]);
  });

  it('gives zeros where all advantages are equal', () => {
    expect([...whiten(Float32Array.of(3, 3, 3), Uint32Array.of(0, 3), ['x'])]).toEqual([0, 0, 0]);
  });
});

describe('group estimators', () => {
  it('sum to zero within every group of two or more, and do not mind a shift of all rewards', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -8, max: 8 }), { minLength: 2, maxLength: 8 }),
        fc.constantFrom<GroupEstimator>('grpo', 'dr-grpo', 'rloo'),
        (scores, estimator) => {
          const groups = scores.map(() => 'q');
          const ours = groupAdvantages(Float32Array.from(scores), groups, estimator);
          expect(ours.reduce((a, b) => a + b, 0)).toBeCloseTo(0, 3);
          expect(
            largestGap(
              ours,
              groupAdvantages(
                Float32Array.from(scores, (s) => s + 4),
                groups,
                estimator,
              ),
            ),
          ).toBeLessThan(1e-4);
        },
      ),
    );
  });

  it('count the groups that teach nothing', () => {
    expect(zeroSpreadShare(Float32Array.of(1, 1, 0, 1, 5), ['a', 'a', 'b', 'b', 'c'])).toBe(0.5);
    expect(zeroSpreadShare(Float32Array.of(1), ['a'])).toBeNaN();
  });
});
