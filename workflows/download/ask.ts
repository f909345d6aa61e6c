/** One request to an endpoint: how it is asked, and which answers are taken. */
import { UserError } from '../../engine/errors.ts';
import { Passing, retryAfterMs } from './patience.ts';

export type Endpoint = { readonly base: string; readonly token?: string };

/** A successful answer. Throws `Passing` or a UserError for any other, and for a redirect to where nothing is encrypted. */
export type Ask = (
  url: URL,
  endpoint: Endpoint,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<Response>;

/** The answer that came from `at`; `permission` says what a person does where it asks for some. */
export async function checked(response: Response, at: URL, permission: string): Promise<Response> {
  const { status } = response;
  if (status === 200 || status === 206 || status === 416) return response;
  await response.body?.cancel();
  if (status === 401 || status === 403)
    throw new UserError(
      `${at.host} asks for permission (${status}); accept the model's terms on its page and ${permission}`,
    );
  if (status === 404) throw new UserError(`${at.host} has no such model or file: ${at.pathname}; check the name`);
  if (status === 408 || status === 429 || status >= 500)
    throw new Passing(`${at.host} is busy (${status})`, retryAfterMs(response.headers.get('retry-after')));
  throw new UserError(`${at.host} answered with status ${status} to ${at.pathname}; try another endpoint`);
}

export function notEncrypted(from: URL, to: URL): UserError {
  return new UserError(`${from.host} redirects to an address that is not encrypted: ${to.host}; use another endpoint`);
}
