/**
 * Where a request to a service leaves: the key is put in, and time and size are bounded. Runs where a program may reach the
 * network: the terminal, and the desktop's main process, whose pages may not.
 */
import { UserError } from '../../engine/errors.ts';
import type { Network, Post, Posted } from './endpoint.ts';

/** A secret by its name, for the origin it goes to; undefined where nobody set it. */
type Secret = (name: string, origin: string) => Promise<string | undefined> | string | undefined;

const maxReplyChars = 1_000_000;

export function postWith(send: typeof fetch, secret: Secret): Network['post'] {
  return async (post) => {
    const headers = await headersOf(post, secret);
    try {
      const signal = AbortSignal.timeout(post.timeoutMs);
      const response = await send(post.url, { method: 'POST', headers, body: post.body, signal, redirect: 'error' });
      const text = await boundedText(response);
      return { status: response.status, retryAfter: response.headers.get('retry-after'), text } satisfies Posted;
    } catch (error) {
      const late = error instanceof Error && error.name === 'TimeoutError';
      return { failed: late ? 'timed out' : 'could not be reached' };
    }
  };
}

async function headersOf({ url, keyFrom }: Post, secret: Secret): Promise<Record<string, string>> {
  const headers = { 'content-type': 'application/json' };
  if (keyFrom === undefined) return headers;
  const { protocol, hostname, origin } = new URL(url);
  if (protocol !== 'https:' && !['localhost', '127.0.0.1', '[::1]'].includes(hostname))
    throw new UserError(`A key is not sent over an open connection: ${origin}; use https`);
  const key = await secret(keyFrom, origin);
  if (key === undefined || key === '')
    throw new UserError(`The key for ${origin} is not in the environment: ${keyFrom}; set it and start again`);
  return { ...headers, authorization: `Bearer ${key}` };
}

/** The body as text, or null where it is longer than any answer. */
async function boundedText(response: Response): Promise<string | null> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    text += decoder.decode(value, { stream: true });
    if (text.length > maxReplyChars) {
      await reader.cancel();
      return null;
    }
  }
}
