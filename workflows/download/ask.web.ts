/**
 * Asking from a page: the browser follows redirects by itself and sends neither token nor cookie; whether a page may read an
 * answer is the endpoint's to say (Hugging Face says yes).
 */
import { checked, notEncrypted, type Ask } from './ask.ts';
import { isTrustworthy } from './hub.ts';
import { Passing } from './patience.ts';

export const askFromPage: Ask = async (url, _endpoint, headers, signal) => {
  const response = await fetch(url, {
    headers,
    signal,
    redirect: 'follow',
    credentials: 'omit',
    cache: 'no-store',
    referrerPolicy: 'no-referrer',
  }).catch(() => {
    throw new Passing(`${url.host} cannot be reached, or lets no page read what it sends`);
  });
  const at = new URL(response.url);
  if (!isTrustworthy(at)) throw notEncrypted(url, at);
  return checked(
    response,
    at,
    'download it in the desktop window or the terminal, with HF_TOKEN set to a token of yours',
  );
};
