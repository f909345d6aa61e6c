/**
 * The `app://` scheme: serves the built pages with the headers that isolate them (threads in WebAssembly need it). A model
 * file may be large, so files are streamed.
 */
import { createReadStream } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { sep } from 'node:path';
import { Readable } from 'node:stream';
import { protocol, type Session } from 'electron';
import securityHeaders from '../renderer/security-headers.json';
import { pathOf, scheme, typeOf } from './pages.ts';

/** Before the app is ready: makes the scheme as trusted as https, with fetch and streams. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme, privileges: { standard: true, secure: true, supportFetchAPI: true, stream: true } },
  ]);
}

async function respond(address: string, base: string): Promise<Response> {
  const refused = (status: number): Response => new Response(null, { status, headers: securityHeaders });
  const named = pathOf(address, base);
  if (!named) return refused(404);
  try {
    const path = await realpath(named);
    const found = await stat(path);
    if (!path.startsWith((await realpath(base)) + sep) || !found.isFile()) return refused(404);
    const headers = { ...securityHeaders, 'Content-Type': typeOf(path), 'Content-Length': String(found.size) };
    const body = Readable.toWeb(createReadStream(path)) as unknown as ReadableStream;
    return new Response(body, { headers });
  } catch {
    return refused(404);
  }
}

export function servePages(session: Session, base: string): void {
  session.protocol.handle(scheme, async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return new Response(null, { status: 405, headers: securityHeaders });
    return respond(request.url, base);
  });
}
