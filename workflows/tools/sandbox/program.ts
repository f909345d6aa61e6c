/**
 * What a sandbox is asked and what it answers. A request is one program, run alone: in a fresh language context, with no
 * files, no network and no clock but its own, within limits. Plain data, because it crosses to another thread.
 */

export const languages = ['javascript', 'python'] as const;
export type Language = (typeof languages)[number];

export type Limits = {
  /** Longest run, not counting the wait for a free sandbox. */
  readonly timeMs: number;
  /** Memory of the sandbox as a whole, with the language itself (about 17 MiB for JavaScript, 40 MiB for Python). */
  readonly memoryBytes: number;
  /** Characters of printed text that are kept. */
  readonly outputChars: number;
};

export type ProgramRequest = {
  readonly program: string;
  /** Run after the program in the same context; the program cannot keep it from running to its end unnoticed. */
  readonly test: string | null;
  /** JSON text the program finds parsed as `data`. */
  readonly data: string;
  readonly limits: Limits;
};

export type ProgramResult = {
  readonly ok: boolean;
  /** What was printed, without the last line break. */
  readonly output: string;
  /** One line for people and models: what went wrong, with the line of the program. Null when `ok`. */
  readonly error: string | null;
  readonly ms: number;
};

/** What the thread itself says about a run; `reusable` false asks for a new thread. */
export type Reply = Omit<ProgramResult, 'ms'> & { readonly reusable: boolean };

/** Longest program, test or data that is taken. */
const sourceMaxChars = 1_000_000;
const errorMaxChars = 2_000;

export function timedOut(limits: Limits): string {
  return `stopped: still running after ${limits.timeMs} ms`;
}

export function outOfMemory(limits: Limits): string {
  return `out of memory: more than ${Math.round(limits.memoryBytes / 2 ** 20)} MiB`;
}

/** A sentence why a request is not even started, or null. */
export function refusal(request: ProgramRequest): string | null {
  const longest = Math.max(request.program.length, request.test?.length ?? 0, request.data.length);
  return longest > sourceMaxChars
    ? `too long to run: ${longest} characters; at most ${sourceMaxChars} are taken`
    : null;
}

export function failed(output: string, error: string, reusable: boolean): Reply {
  return { ok: false, output, error: error.slice(0, errorMaxChars), reusable };
}
