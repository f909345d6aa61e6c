/**
 * Reads how many tests passed, failed and were skipped out of what each kind of runner reports. A report that cannot be
 * read, or that says nothing was run, counts as one failure: a run that tests nothing must not look like a good one.
 */

export const none = { passed: 0, failed: 0, skipped: 0 };
const unreadable = { passed: 0, failed: 1, skipped: 0 };

export function add(a, b) {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** A tool that only says yes or no. */
export function ofExit(code) {
  return code === 0 ? { passed: 1, failed: 0, skipped: 0 } : unreadable;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function checked(counts, code) {
  const all = [counts.passed, counts.failed, counts.skipped];
  if (!all.every((count) => Number.isInteger(count) && count >= 0) || all.every((count) => count === 0))
    return unreadable;
  // A runner that fails without a failed test died on the way (a file that does not load, a crash).
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/** Vitest's JSON report. */
export function ofVitest(text, code) {
  const report = parse(text);
  if (!report) return unreadable;
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, numTodoTests: todo } = report;
  return checked({ passed, failed, skipped: pending + todo }, code);
}

/** Playwright's JSON report; a test that passed only on a second try counts as failed. */
export function ofPlaywright(text, code) {
  const stats = parse(text)?.stats;
  if (!stats) return unreadable;
  return checked({ passed: stats.expected, failed: stats.unexpected + stats.flaky, skipped: stats.skipped }, code);
}

/** A program of ours that ends with the plain line. */
export function ofPlainLine(text, code) {
  const found = [...text.matchAll(/^(\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1);
  if (!found) return unreadable;
  const [passed, failed, skipped] = found.slice(1).map(Number);
  return checked({ passed, failed, skipped }, code);
}

export function plainLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
