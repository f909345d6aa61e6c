/**
 * Serves one folder on the loopback address, with the headers that make the page cross-origin isolated (threads in
 * WebAssembly need it) and a strict content-security policy. Only GET and HEAD, only files inside the folder, only requests
 * addressed to this machine by a local name (a foreign Host header is the mark of DNS rebinding).
 */
import { createReadStream, readFileSync, realpathSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, extname, join, normalize, sep } from 'node:path';

const types = {
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
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
};

/** One list for the page and the desktop window. */
export const securityHeaders = JSON.parse(
  readFileSync(new URL('../../renderer/security-headers.json', import.meta.url), 'utf8'),
);

/**
 * The one file that may reach other hosts: the worker that fetches models, once it is told to. A worker is bound by the policy
 * it came with, so the page and every other worker stay without a network.
 */
const reachesOut = /^downloads\.web-[\w-]+\.js$/;

function headersOf(name) {
  if (!reachesOut.test(name)) return securityHeaders;
  const key = 'Content-Security-Policy';
  const anywhere = "connect-src 'self' https: http://127.0.0.1:* http://localhost:*";
  return { ...securityHeaders, [key]: securityHeaders[key].replace(/connect-src [^;]*/, anywhere) };
}

const localNames = new Set(['127.0.0.1', 'localhost', '[::1]']);

function isLocal(host) {
  return localNames.has((host ?? '').replace(/:\d+$/, ''));
}

/** The file a request names, or null when it names none inside the folder. */
async function fileFor(base, url) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, 'http://local').pathname);
  } catch {
    return null;
  }
  if (path.includes('\0') || path.includes('\\')) return null;
  if (path.split('/').some((part) => part.startsWith('.'))) return null;
  const joined = normalize(join(base, path.endsWith('/') ? `${path}index.html` : path));
  if (!joined.startsWith(base + sep)) return null;
  try {
    const real = realpathSync(joined);
    const found = await stat(real);
    return real.startsWith(base + sep) && found.isFile() ? { path: real, size: found.size } : null;
  } catch {
    return null;
  }
}

/** [first, last] of a single byte range, null for none, 'bad' for one outside the file. */
export function byteRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return null;
  const first = match[1] === '' ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const last = match[1] === '' || match[2] === '' ? size - 1 : Math.min(Number(match[2]), size - 1);
  return first > last || first >= size ? 'bad' : [first, last];
}

function refuse(response, status, text, extra = {}) {
  response.writeHead(status, { ...securityHeaders, 'Content-Type': 'text/plain; charset=utf-8', ...extra });
  response.end(text);
}

async function answer(base, request, response) {
  if (!isLocal(request.headers.host)) return refuse(response, 403, 'Only local names are served.');
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response, 405, 'Only GET and HEAD.', { Allow: 'GET, HEAD' });
  const file = await fileFor(base, request.url ?? '/');
  if (!file) return refuse(response, 404, 'No such file.');
  const range = byteRange(request.headers.range, file.size);
  if (range === 'bad') return refuse(response, 416, 'No such range.', { 'Content-Range': `bytes */${file.size}` });
  const [first, last] = range ?? [0, file.size - 1];
  response.writeHead(range ? 206 : 200, {
    ...headersOf(basename(file.path)),
    'Content-Type': types[extname(file.path).toLowerCase()] ?? 'application/octet-stream',
    'Content-Length': file.size === 0 ? 0 : last - first + 1,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'no-cache',
    ...(range ? { 'Content-Range': `bytes ${first}-${last}/${file.size}` } : {}),
  });
  if (request.method === 'HEAD' || file.size === 0) return response.end();
  createReadStream(file.path, { start: first, end: last })
    .on('error', () => response.destroy())
    .pipe(response);
}

function listen(server, port) {
  return new Promise((settle, fail) => {
    server.once('error', fail);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', fail);
      settle(server.address().port);
    });
  });
}

/**
 * Serves `folder`; resolves to {server, port, url, moved}. With `fallback`, a port already taken gives a free one instead
 * and `moved` is true; without it that is an error.
 */
export async function serveFolder(folder, { port = 0, fallback = true } = {}) {
  const base = realpathSync(folder);
  const server = createServer((request, response) => {
    answer(base, request, response).catch(() => response.destroy());
  });
  let moved = false;
  const taken = await listen(server, port).catch((failure) => {
    if (failure.code !== 'EADDRINUSE' || !fallback) throw failure;
    moved = true;
    return listen(server, 0);
  });
  return { server, port: taken, url: `http://127.0.0.1:${taken}/`, moved };
}
