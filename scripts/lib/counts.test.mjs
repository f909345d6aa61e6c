import { describe, expect, it } from 'vitest';
import { add, none, ofExit, ofPlainLine, ofPlaywright, ofVitest, plainLine } from './counts.mjs';

describe('counting tests', () => {
  it('reads the reports of each runner', () => {
    const vitest = JSON.stringify({ numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1 });
    expect(ofVitest(vitest, 1)).toEqual({ passed: 5, failed: 1, skipped: 3 });
    const playwright = JSON.stringify({ stats: { expected: 4, unexpected: 0, flaky: 1, skipped: 0 } });
    expect(ofPlaywright(playwright, 0)).toEqual({ passed: 4, failed: 1, skipped: 0 });
    expect(ofPlainLine('ok a\n3 passed, 0 failed, 2 skipped\n', 0)).toEqual({ passed: 3, failed: 0, skipped: 2 });
    expect(ofExit(0)).toEqual({ passed: 1, failed: 0, skipped: 0 });
  });

  it('counts a runner that died as a failure, whatever it reported', () => {
    const good = JSON.stringify({ numPassedTests: 5, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 });
    expect(ofVitest(good, 1).failed).toBe(1);
    expect(ofPlainLine('3 passed, 0 failed, 0 skipped', 134).failed).toBe(1);
    expect(ofExit(2).failed).toBe(1);
  });

  it('counts a report that says nothing as a failure', () => {
    for (const text of ['', '{', '{}', 'null', '{"stats":{}}']) {
      expect(ofVitest(text, 0).failed).toBe(1);
      expect(ofPlaywright(text, 0).failed).toBe(1);
      expect(ofPlainLine(text, 0).failed).toBe(1);
    }
    const empty = JSON.stringify({ numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 });
    expect(ofVitest(empty, 0).failed).toBe(1);
  });

  it('sums and says it in one plain line', () => {
    const total = [
      { passed: 1, failed: 0, skipped: 2 },
      { passed: 3, failed: 1, skipped: 0 },
    ].reduce(add, none);
    expect(plainLine(total)).toBe('4 passed, 1 failed, 2 skipped');
  });
});
