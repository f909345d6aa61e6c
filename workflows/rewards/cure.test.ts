/** CURE's rewards against a table worked by hand: four programs, three written tests, two tests of the task. */
import { describe, expect, it } from 'vitest';
import { programShares, simpleProgramShares, simpleTestShares, testShares } from './cure.ts';

const [T, F] = [true, false];
const truth = [
  [T, T],
  [T, T],
  [T, F],
  [F, F],
];
const matrix = [
  [T, T, T],
  [T, F, T],
  [F, T, T],
  [F, F, F],
];
const values = (shares: ReturnType<typeof programShares>) =>
  shares.map((share) => (share === null ? null : Number(share.value.toFixed(6))));

describe('the full scheme', () => {
  it('z-scores the programs’ pass rates 1, 1, 1/2, 0', () => {
    expect(values(programShares(truth))).toEqual([0.904534, 0.904534, -0.301511, -1.507557]);
    expect(programShares(truth)[2]?.terms).toEqual({ rate: 0.5, mean: 0.625, deviation: Math.sqrt(0.171875) });
  });

  it('signs and scales the tests to 1, -1/2, 1/2, then z-scores them', () => {
    // The first passes both correct programs and fails both wrong ones; the second fails a correct one and passes one of
    // two wrong ones; the third passes both correct ones and fails one of two wrong ones.
    const shares = testShares(matrix, truth, 3);
    expect(shares.map((share) => [share?.terms.sign, share?.terms.scale])).toEqual([
      [1, 1],
      [-1, 0.5],
      [1, 0.5],
    ]);
    expect(values(shares)).toEqual([1.069045, -1.336306, 0.267261]);
  });

  it('gives no test a sample without a correct program, and 0 to all without a wrong one', () => {
    expect(testShares(matrix, [[F], [F], [F], [F]], 3)).toEqual([null, null, null]);
    expect(testShares(matrix, [[], [], [], []], 3)).toEqual([null, null, null]);
    expect(values(testShares(matrix, [[T], [T], [T], [T]], 3))).toEqual([0, 0, 0]);
  });

  it('gives equal programs nothing, and counts a test that never ran as failed', () => {
    expect(values(programShares([[T], [T]]))).toEqual([0, 0]);
    expect(testShares([[T], [F]], [[T], [F]], 2).map((share) => share?.terms.sign)).toEqual([1, -1]);
  });
});

describe('the simplified scheme', () => {
  it('adds the verifier’s share to a program', () => {
    expect(values(simpleProgramShares(matrix, truth, 0.5))).toEqual([1.5, 1.333333, 0.833333, 0]);
  });

  it('takes the length off a test’s share of right verdicts', () => {
    expect(values(simpleTestShares(matrix, truth, [0, 10, 100], 0.001))).toEqual([1, 0.49, 0.65]);
  });
});
