/**
 * Maps an address of our scheme to a file of the built pages. Pure, so that hostile addresses can be thrown at it: an
 * address of another host, with an encoded separator, a dot segment or a hidden name names no file.
 */
import { extname, join, sep } from 'node:path';

export const scheme = 'app';
export const origin = `${scheme}://troupe`;

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.jsonl': 'application/x-ndjson; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
  '.md': 'text/plain; charset=utf-8',
};

export function typeOf(path: string): string {
  return types[extname(path).toLowerCase()] ?? 'application/octet-stream';
}

/** Path of the file under `base` that `address` names, or null. */
export function pathOf(address: string, base: string): string | null {
  let url: URL;
  let path: string;
  try {
    url = new URL(address);
    path = decodeURIComponent(url.pathname);
  } catch {
    return null;
  }
  if (url.protocol !== `${scheme}:` || url.host !== 'troupe' || url.username || url.password) return null;
  if (/[\\:\u0000-\u001f]/.test(path)) return null;
  const parts = path.split('/').filter((part) => part !== '');
  if (parts.some((part) => part.startsWith('.'))) return null;
  const file = join(base, ...(parts.length ? parts : ['index.html']));
  return file.startsWith(base + sep) ? file : null;
}

/** True for an address that our own windows may show. */
export function isOurs(address: string): boolean {
  try {
    const url = new URL(address);
    return url.protocol === `${scheme}:` && url.host === 'troupe';
  } catch {
    return false;
  }
}
