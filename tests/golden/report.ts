/**
 * What a check says: one line with its largest error and what is allowed. Checks are counted as they are printed; a check
 * that could not be made is printed as skipped with the reason.
 */

export type Checks = {
  /** `error` is the largest one found; a check passes when it is at most `allowed`. NaN fails. */
  measured(what: string, error: number, allowed: number): void;
  /** For things that must simply be equal. */
  equal(what: string, same: boolean, detail: string): void;
  skipped(what: string, reason: string): void;
};

export type Tally = { passed: number; failed: number; skipped: number };

/** Prints under a heading such as "wasm tiny-llama". */
export function checksFor(heading: string, tally: Tally, print: (line: string) => void): Checks {
  const line = (word: string, what: string, rest: string) =>
    print(`${word.padEnd(5)} ${`${heading} ${what}`.padEnd(58)} ${rest}`);
  const settle = (ok: boolean, what: string, rest: string) => {
    if (ok) tally.passed++;
    else tally.failed++;
    line(ok ? 'ok' : 'FAIL', what, rest);
  };
  return {
    measured: (what, error, allowed) =>
      settle(error <= allowed, what, `${error.toExponential(1)}  (allowed ${allowed.toExponential(0)})`),
    equal: (what, same, detail) => settle(same, what, detail),
    skipped: (what, reason) => {
      tally.skipped++;
      line('skip', what, reason);
    },
  };
}

/** Largest absolute difference; NaN where a length differs or a number is not finite. */
export function largestError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  if (got.length !== wanted.length) return NaN;
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    // Two equal infinities agree, though their difference is not a number.
    const error = got[i] === wanted[i] ? 0 : Math.abs(got[i] - wanted[i]);
    if (Number.isNaN(error)) return NaN;
    worst = Math.max(worst, error);
  }
  return worst;
}

/** The largest difference as a share of the largest wanted entry. */
export function relativeError(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  let scale = 0;
  for (let i = 0; i < wanted.length; i++) scale = Math.max(scale, Math.abs(wanted[i]));
  return largestError(got, wanted) / (scale || 1);
}
