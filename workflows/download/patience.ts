/** Trying again: busy servers are waited for as they ask, silence ends a request, and failures that bring nothing end it all. */
import { UserError } from '../../engine/errors.ts';

export type Patience = {
  /** A request that brings nothing for so long is given up and tried again. */
  readonly silenceMs: number;
  /** Failures in a row, nothing gained between them, before giving up. */
  readonly retries: number;
  /** First wait; doubled each time. */
  readonly waitMs: number;
  /** Longest wait, whatever a server asks for. */
  readonly longestWaitMs: number;
};
export const usualPatience: Patience = { silenceMs: 30_000, retries: 8, waitMs: 1_000, longestWaitMs: 300_000 };

/** Worth trying again, after `waitMs` where the server said so. */
export class Passing extends Error {
  readonly waitMs: number | null;
  constructor(reason: string, waitMs: number | null = null) {
    super(reason);
    this.waitMs = waitMs;
  }
}

/** Seconds or a date; null where neither is given. */
export function retryAfterMs(header: string | null, now = Date.now()): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** Waits, or rejects when the signal says so. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((settle, fail) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      if (signal.aborted) fail(signal.reason as Error);
      else settle();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

/**
 * Does `work` until it succeeds. `work` gets a signal that also fires on silence, and a function to call whenever something
 * came; `gained` tells that an attempt brought us further, which begins the count of failures anew.
 */
export async function patiently<T>(
  patience: Patience,
  signal: AbortSignal,
  onWait: (reason: string, ms: number) => void,
  work: (signal: AbortSignal, alive: () => void) => Promise<T>,
  gained: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ;) {
    const silence = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Passing('nothing came for a long time')), patience.silenceMs);
    };
    alive();
    try {
      return await work(AbortSignal.any([signal, silence.signal]), alive);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UserError || (!(error instanceof Passing) && !silence.signal.aborted)) throw error;
      failures = gained() ? 1 : failures + 1;
      const reason = silence.signal.aborted ? 'nothing came for a long time' : (error as Error).message;
      if (failures > patience.retries) throw new UserError(`${reason}; resume the download to go on where it stopped`);
      const wanted = error instanceof Passing ? error.waitMs : null;
      const ms = Math.min(patience.longestWaitMs, wanted ?? patience.waitMs * 2 ** (failures - 1));
      onWait(reason, ms);
      await pause(ms, signal);
    } finally {
      clearTimeout(timer);
    }
  }
}
