/**
 * A small Hugging Face-compatible endpoint over one folder, for tests: lists it with checksums, sends its files by range and
 * lets pages read them.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export type Hub = {
  readonly address: string;
  /** Where each answer with the weights began. */
  readonly begun: readonly number[];
  /** What becomes of the next answers with the weights: how many bytes come before it breaks, or before it stands still. */
  readonly next: ({ breakAt: number } | { holdAt: number })[];
  close(): void;
};

export async function openHub(folder: string): Promise<Hub> {
  const names = (await readdir(folder, { withFileTypes: true })).filter((one) => one.isFile()).map(({ name }) => name);
  const files = new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
  const siblings = [...files].map(([rfilename, bytes]) => ({
    rfilename,
    size: bytes.length,
    lfs: { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') },
  }));
  const begun: number[] = [];
  const next: Hub['next'] = [];
  const server = createServer((request, response) => {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'range');
    response.setHeader('access-control-expose-headers', 'content-range');
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (request.url!.startsWith('/api/models/'))
      return void response.end(JSON.stringify({ sha: 'a'.repeat(40), siblings }));
    const bytes = files.get(request.url!.split('/').at(-1)!);
    if (!bytes) return void response.writeHead(404).end();
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': bytes.length - from,
      ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    const weights = request.url!.endsWith('/model.safetensors');
    if (weights) begun.push(from);
    const end = weights ? next.shift() : undefined;
    if (!end) return void response.end(bytes.subarray(from));
    const until = 'breakAt' in end ? end.breakAt : end.holdAt;
    response.write(bytes.subarray(from, until), () => {
      if ('breakAt' in end) setTimeout(() => response.destroy(), 50);
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    begun,
    next,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
