/** Asking from Node: redirects are followed by hand, so that a token never leaves the endpoint's own origin. */
import { UserError } from '../../engine/errors.ts';
import { checked, notEncrypted, type Ask } from './ask.ts';
import { isTrustworthy } from './hub.ts';
import { Passing } from './patience.ts';

const mostHops = 6;

export const askFromNode: Ask = async (url, endpoint, headers, signal) => {
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
    if (![301, 302, 303, 307, 308].includes(response.status))
      return checked(response, at, 'set HF_TOKEN to a token of yours');
    await response.body?.cancel();
    at = redirected(response.headers.get('location'), at);
  }
  throw new UserError(`${url.host} redirects more than ${mostHops} times; try again later or use another endpoint`);
};

function redirected(location: string | null, from: URL): URL {
  const next = URL.canParse(location ?? '', from) ? new URL(location ?? '', from) : null;
  if (!next || location === null)
    throw new UserError(`${from.host} redirects to no address: ${location ?? 'none given'}`);
  if (!isTrustworthy(next) || (next.protocol === 'http:' && from.protocol === 'https:')) throw notEncrypted(from, next);
  next.username = '';
  next.password = '';
  return next;
}

function causeOf(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  return cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
}
