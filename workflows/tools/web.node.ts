/**
 * The web for the terminal. An address counts only with what it resolves to: the name is looked up once, every address found
 * must be public, and the connection goes to that one, so that no second answer of the name server can lead inside. Each
 * redirect is checked like the first address.
 */
import { lookup as lookUp } from 'node:dns';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { BlockList, isIP, isIPv6, type LookupFunction } from 'node:net';
import { UserError } from '../../engine/errors.ts';
import { isAllowedHost, type Web, type WebPage } from './web.ts';

const maxRedirects = 3;
const maxUrlChars = 2_000;
const readable = /^(?:text\/[a-z0-9.+-]+|application\/(?:json|xml|xhtml\+xml))$/;

/** Everything but the public internet (IANA's special-purpose registries for IPv4 and IPv6). */
const inside = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [net, bits] of [
  ['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12],
  ['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15],
  ['198.51.100.0', 24], ['203.0.113.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
] as const) inside.ipv4.addSubnet(net, bits, 'ipv4'); // prettier-ignore
for (const [net, bits] of [
  ['::', 96], ['::ffff:0:0', 96], ['64:ff9b::', 96], ['64:ff9b:1::', 48], ['100::', 64], ['2001::', 23],
  ['2001:db8::', 32], ['2002::', 16], ['3fff::', 20], ['5f00::', 16], ['fc00::', 7], ['fe80::', 10], ['fec0::', 10],
  ['ff00::', 8],
] as const) inside.ipv6.addSubnet(net, bits, 'ipv6'); // prettier-ignore

export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  // Two lists, for a subnet of mapped addresses in one would cover every IPv4 address.
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  return !inside[family].check(address, family);
}

/** What tests change: which addresses may be connected to, and how names are found. */
type Reach = { mayConnect?: (address: string) => boolean; lookup?: typeof lookUp; ports?: readonly string[] };

export function openWeb({ mayConnect = isPublicAddress, lookup = lookUp, ports = [''] }: Reach = {}): Web {
  return {
    read: async (address, { hosts, timeMs, maxBytes }, signal) => {
      const ends = AbortSignal.any([AbortSignal.timeout(timeMs), ...(signal === undefined ? [] : [signal])]);
      let url = checked(address, hosts, ports);
      for (let hops = 0; ; hops += 1) {
        const response = await get(url, guardedLookup(lookup, mayConnect), mayConnect, ends, timeMs);
        const to = redirectOf(response);
        if (to === null) return pageOf(url, response, maxBytes, ends, timeMs);
        response.destroy();
        if (hops >= maxRedirects)
          throw new UserError(`Too many redirects: ${shown(address)}; use the page's own address`);
        url = checked(URL.canParse(to, url) ? new URL(to, url).href : to, hosts, ports);
      }
    },
  };
}

function checked(address: string, hosts: readonly string[], ports: readonly string[]): URL {
  if (address.length > maxUrlChars || !URL.canParse(address.trim()))
    throw new UserError(`Not an address of a page: ${shown(address)}; begin with https://`);
  const url = new URL(address.trim());
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw new UserError(`Only http and https are read: ${shown(address)}`);
  if (url.username !== '' || url.password !== '')
    throw new UserError(`An address with a name and password is not read: ${url.host}; leave them out`);
  if (!isAllowedHost(url.hostname, hosts))
    throw new UserError(`This host may not be read: ${url.hostname.slice(0, 80)}; the node allows ${hosts.join(', ')}`);
  if (!ports.includes(url.port)) throw new UserError(`Only the usual ports are read: ${url.host.slice(0, 80)}`);
  return url;
}

function shown(address: string): string {
  return address.slice(0, 100);
}

/** Every address of the name must be one that may be connected to. */
function guardedLookup(lookup: typeof lookUp, mayConnect: (address: string) => boolean): LookupFunction {
  return (host, options, callback) =>
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '', 4);
      const wrong = found.find(({ address }) => !mayConnect(address));
      if (found.length === 0 || wrong !== undefined)
        return callback(new UserError(`This host is not on the public internet: ${host}`), '', 4);
      if (options.all === true) return callback(null, found);
      callback(null, found[0].address, found[0].family);
    });
}

function get(
  url: URL,
  lookup: LookupFunction,
  mayConnect: (address: string) => boolean,
  signal: AbortSignal,
  timeMs: number,
): Promise<IncomingMessage> {
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  // Node looks no literal address up.
  if (isIP(literal) !== 0 && !mayConnect(literal))
    throw new UserError(`This host is not on the public internet: ${url.hostname}`);
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      method: 'GET',
      agent: false,
      lookup,
      signal,
      maxHeaderSize: 16_384,
      headers: { 'user-agent': 'Troupe', accept: 'text/html,text/*,application/json', 'accept-encoding': 'identity' },
    });
    request.on('response', resolve);
    request.on('error', (error) => reject(problemOf(error, url, signal, timeMs)));
    request.end();
  });
}

function problemOf(error: Error, url: URL, signal: AbortSignal, timeMs: number): Error {
  if (error instanceof UserError) return error;
  if (signal.aborted) return new UserError(`No page within ${timeMs} ms: ${shown(url.href)}`);
  return new UserError(`The page could not be read (${error.message.slice(0, 100)}): ${shown(url.href)}`);
}

function redirectOf({ statusCode = 0, headers }: IncomingMessage): string | null {
  return [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined ? headers.location : null;
}

async function pageOf(
  url: URL,
  response: IncomingMessage,
  maxBytes: number,
  signal: AbortSignal,
  timeMs: number,
): Promise<WebPage> {
  const refuse = (message: string): never => {
    response.destroy();
    throw new UserError(`${message}: ${shown(url.href)}`);
  };
  const status = response.statusCode ?? 0;
  if (status !== 200) refuse(`The page answers ${status}`);
  const type = (response.headers['content-type'] ?? '').split(';')[0].trim().toLowerCase();
  if (!readable.test(type)) refuse(`What answers is no text (${type.slice(0, 60) || 'without a type'})`);
  if ((response.headers['content-encoding'] ?? 'identity') !== 'identity') refuse('The page comes packed');
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > maxBytes) refuse(`The page is longer than ${Math.round(maxBytes / 1_024)} KiB`);
      parts.push(part);
    }
  } catch (error) {
    throw problemOf(error as Error, url, signal, timeMs);
  }
  return { url: url.href, type, text: new TextDecoder().decode(Buffer.concat(parts)) };
}
