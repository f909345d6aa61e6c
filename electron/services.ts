/**
 * Services that play roles, asked by the main process: pages reach no network. The person allows each origin, and the key
 * that goes to it, once while the program runs, since a team's file may come from anyone.
 */
import { UserError } from '../engine/errors.ts';
import { postWith } from '../workflows/run/endpoint-post.ts';
import type { Services } from '../workflows/run/services.port.ts';
import type { Keys } from './keys.ts';

type Allow = (origin: string, keyFrom: string | undefined) => Promise<boolean>;

export function openServices(keys: Keys, allow: Allow, send: typeof fetch = fetch): Services {
  const allowed = new Map<string, Promise<boolean>>();
  const post = postWith(send, keys.read);
  return {
    post: async (request) => {
      const origin = originOf(request.url);
      const asked = `${origin} ${request.keyFrom ?? ''}`;
      if (!allowed.has(asked)) allowed.set(asked, allow(origin, request.keyFrom));
      if (await allowed.get(asked)) return post(request);
      allowed.delete(asked);
      throw new UserError(`Nothing was sent to ${origin}; allow it when asked, or give the role a model`);
    },
    keyPlace: (url, name) => keys.place(name, originOf(url)),
    keepKey: (url, name, key) => keys.keep(name, originOf(url), key),
  };
}

function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol))
    throw new UserError(`Not the address of a service: ${url.slice(0, 80)}; it begins with https://`);
  return parsed.origin;
}
