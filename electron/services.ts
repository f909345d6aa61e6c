/**
 * Services that play roles and pages that tools read, asked by the main process: pages of ours reach no network. The person
 * allows each origin with the key that goes to it, and each list of hosts, once while the program runs, since a team's file
 * may come from anyone.
 */
import { z } from 'zod';
import { UserError } from '../engine/errors.ts';
import { postWith } from '../workflows/run/endpoint-post.ts';
import type { Services } from '../workflows/run/services.port.ts';
import { hostSchema, webLimits, type Web } from '../workflows/tools/web.ts';
import { openWeb } from '../workflows/tools/web.node.ts';
import type { Keys } from './keys.ts';

/** What the person is asked before anything leaves. */
export type Permissions = {
  maySend(origin: string, keyFrom: string | undefined): Promise<boolean>;
  mayRead(hosts: readonly string[]): Promise<boolean>;
};

const limitsSchema = z.strictObject({
  hosts: z.array(hostSchema).min(1).max(webLimits.hosts),
  timeMs: z.int().min(1).max(webLimits.timeMs),
  maxBytes: z
    .int()
    .min(1)
    .max(webLimits.kib * 1_024),
});

export function openServices(
  keys: Keys,
  { maySend, mayRead }: Permissions,
  send: typeof fetch = fetch,
  web: Web = openWeb(),
): Services {
  const allowed = new Map<string, Promise<boolean>>();
  /** Asked again the next time where the answer was no. */
  const once = async (what: string, ask: () => Promise<boolean>): Promise<boolean> => {
    const answer = allowed.get(what) ?? ask();
    allowed.set(what, answer);
    if (await answer) return true;
    allowed.delete(what);
    return false;
  };
  const post = postWith(send, keys.read);
  return {
    post: async (request) => {
      const origin = originOf(request.url);
      if (await once(`send ${origin} ${request.keyFrom ?? ''}`, () => maySend(origin, request.keyFrom)))
        return post(request);
      throw new UserError(`Nothing was sent to ${origin}; allow it when asked, or give the role a model`);
    },
    readPage: async (url, given) => {
      const limits = limitsSchema.parse(given);
      const hosts = [...new Set(limits.hosts)].sort();
      if (await once(`read ${hosts.join(' ')}`, () => mayRead(hosts))) return web.read(url, limits);
      throw new UserError(`Nothing was read from ${hosts.join(', ')}; allow it when asked, or take the tool out`);
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
