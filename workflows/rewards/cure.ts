/**
 * CURE's rewards (Wang et al. 2025, arXiv 2506.03136) from an execution matrix: N programs by M written tests, and each
 * program's results on the task's own tests. Pure arithmetic over flags. A program is correct when it passes every one of
 * the task's tests, of which there must be at least one.
 */

/** [N][M], row i: what program i passes. */
export type Matrix = readonly (readonly boolean[])[];

/** One record's reward with what it is made of; null takes the record out of the update. */
export type Share = { value: number; terms: Record<string, number> } | null;

/** How much passing the verifier's tests adds to a program, and what one token costs a test. Not public; our defaults. */
export const defaultLambda = { programs: 0.5, tests: 0.001 } as const;

/** Full scheme, programs: the pass rate on the task's tests, z-scored over the task's programs. */
export function programShares(truth: Matrix): Share[] {
  const rates = truth.map(passRate);
  return standardised(rates, (i) => ({ rate: rates[i] }));
}

/**
 * Full scheme, tests: +1 where every correct program passes the test, else -1; times the share of wrong programs that it
 * fails (+) or passes (-); z-scored over the task's tests. Without a correct program nothing is known of any test, and
 * none is a sample. Without a wrong one the share is 0.
 */
export function testShares(matrix: Matrix, truth: Matrix, tests: number): Share[] {
  const correct = truth.map(isCorrect);
  if (!correct.includes(true)) return Array.from({ length: tests }, () => null);
  const signs: number[] = [];
  const scales: number[] = [];
  for (let test = 0; test < tests; test += 1) {
    const passes = matrix.map((row) => row[test] ?? false);
    const sign = passes.every((passed, i) => passed || !correct[i]) ? 1 : -1;
    const wrong = passes.filter((_, i) => !correct[i]);
    const caught = wrong.filter((passed) => passed === sign < 0).length;
    signs.push(sign);
    scales.push(wrong.length === 0 ? 0 : caught / wrong.length);
  }
  return standardised(
    signs.map((sign, i) => sign * scales[i]),
    (i) => ({ sign: signs[i], scale: scales[i] }),
  );
}

/** Simplified, programs: R_C = R_GT + lambda R_Verifier, both pass rates. */
export function simpleProgramShares(matrix: Matrix, truth: Matrix, lambda: number): Share[] {
  return truth.map((row, i) => {
    const [own, verifier] = [passRate(row), passRate(matrix[i] ?? [])];
    return { value: own + lambda * verifier, terms: { truth: own, verifier, lambda } };
  });
}

/** Simplified, tests: R_V = R_P - lambda Len; R_P is the share of programs that the test judges rightly, Len its tokens. */
export function simpleTestShares(matrix: Matrix, truth: Matrix, lengths: readonly number[], lambda: number): Share[] {
  const correct = truth.map(isCorrect);
  return lengths.map((length, test) => {
    const right = matrix.filter((row, i) => (row[test] ?? false) === correct[i]).length;
    const precision = matrix.length === 0 ? 0 : right / matrix.length;
    return { value: precision - lambda * length, terms: { precision, length, lambda } };
  });
}

function passRate(row: readonly boolean[]): number {
  return row.length === 0 ? 0 : row.filter(Boolean).length / row.length;
}

function isCorrect(row: readonly boolean[]): boolean {
  return row.length > 0 && row.every(Boolean);
}

/** (x - mean) / population standard deviation; 0 where all are equal. */
function standardised(numbers: readonly number[], terms: (i: number) => Record<string, number>): Share[] {
  const mean = numbers.reduce((sum, each) => sum + each, 0) / Math.max(1, numbers.length);
  const variance = numbers.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, numbers.length);
  const deviation = Math.sqrt(variance);
  return numbers.map((each, i) => ({
    value: deviation < 1e-9 ? 0 : (each - mean) / deviation,
    terms: { ...terms(i), mean, deviation },
  }));
}
