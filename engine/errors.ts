/**
 * The two kinds of failure. A `UserError` is something a person can mend: one sentence, the value at the end,
 * then the remedy; it never shows a stack. Everything else is a bug and always shows one.
 */
export class UserError extends Error {
  override readonly name = 'UserError';
}

/** The work was cancelled by the person who asked for it; what was finished so far is kept by the caller. */
export class Cancelled extends Error {
  override readonly name = 'Cancelled';
  constructor(what: string) {
    super(`${what} was cancelled`);
  }
}
