/**
 * One request to an endpoint, and the patience around it: redirects are followed by hand, so that a token never leaves the
 * endpoint's own origin and nothing comes unencrypted; busy servers are waited for as they ask; silence ends a request.
 */
import { UserError } from '../../engine/errors.ts';
import { isTrustworthy } from './hub.ts';

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

export type Endpoint = { readonly base: string; readonly token?: string };

/** Worth trying again, after `waitMs` where the server said so. */
export class Passing extends Error {
  readonly waitMs: number | null;
  constructor(reason: string, waitMs: number | null = null) {
    super(reason);
    this.waitMs = waitMs;
  }
}

const mostHops = 6;

/** A successful answer. Throws `Passing` or a UserError for any other. */
export async function ask(
  url: URL,
  endpoint: Endpoint,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  const home = new URL(endpoint.base).origin;
  let at = url;
  for (let hop = 0; hop <= mostHops; hop++) {
    const own = endpoint.token !== undefined && at.origin === home;
    const response = await fetch(at, {
      headers: {
        'accept-encoding': 'identity',
        ...headers,
        ...(own ? { authorization: `Bearer ${endpoint.token}` } : {}),
      },
      redirect: 'manual',
      signal,
    }).catch((error: unknown) => {
      throw new Passing(`${at.host} cannot be reached: ${causeOf(error)}`);
    });
    if (![301, 302, 303, 307, 308].includes(response.status)) return checked(response, at);
    await response.body?.cancel();
    at = redirected(response.headers.get('location'), at);
  }
  throw new UserError(`${url.host} redirects more than ${mostHops} times; try again later or use another endpoint`);
}

function redirected(location: string | null, from: URL): URL {
  const next = URL.canParse(location ?? '', from) ? new URL(location ?? '', from) : null;
  if (!next || location === null)
    throw new UserError(`${from.host} redirects to no address: ${location ?? 'none given'}`);
  if (!isTrustworthy(next) || (next.protocol === 'http:' && from.protocol === 'https:'))
    throw new UserError(
      `${from.host} redirects to an address that is not encrypted: ${next.host}; use another endpoint`,
    );
  next.username = '';
  next.password = '';
  return next;
}

async function checked(response: Response, at: URL): Promise<Response> {
  const { status } = response;
  if (status === 200 || status === 206 || status === 416) return response;
  await response.body?.cancel();
  if (status === 401 || status === 403)
    throw new UserError(
      `${at.host} asks for permission (${status}); accept the model's terms on its page and set HF_TOKEN to a token of yours`,
    );
  if (status === 404) throw new UserError(`${at.host} has no such model or file: ${at.pathname}; check the name`);
  if (status === 408 || status === 429 || status >= 500)
    throw new Passing(`${at.host} is busy (${status})`, retryAfterMs(response.headers.get('retry-after')));
  throw new UserError(`${at.host} answered with status ${status} to ${at.pathname}; try another endpoint`);
}

/** Seconds or a date; null where neither is given. */
export function retryAfterMs(header: string | null, now = Date.now()): number | null {
  if (header === null || header.trim() === '') return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

function causeOf(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
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
    let timer: NodeJS.Timeout | undefined;
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
