import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { filesAt } from './folder.node.ts';
import { openSource, readWhole } from './source.ts';
import './source.node.ts';

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  closers.push(() => new Promise((done) => (server.closeAllConnections(), server.close(done))));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
}

const big = Uint8Array.from({ length: 5 * 2 ** 20 }, (_, i) => (i * 7) % 253);
const ranged: RequestListener = (request, response) => {
  const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!.map(Number);
  const end = Math.min(last, big.length - 1);
  response.writeHead(206, { 'content-range': `bytes ${first}-${end}/${big.length}` }).end(big.subarray(first, end + 1));
};

describe('byte sources', () => {
  it('reads ranges of bytes and blobs', async () => {
    for (const ref of [{ kind: 'bytes', bytes } as const, { kind: 'blob', blob: new Blob([bytes]) } as const]) {
      const source = await openSource('a', ref);
      expect(source.size).toBe(1000);
      expect(await source.read(10, 5)).toEqual(bytes.slice(10, 15));
      expect(await readWhole(source, 1000)).toEqual(bytes);
      await expect(source.read(998, 3)).rejects.toThrow('truncated');
      await expect(source.read(-1, 3)).rejects.toThrow(UserError);
      await expect(source.read(0, 2 ** 53)).rejects.toThrow(UserError);
      await expect(readWhole(source, 999)).rejects.toThrow('at most 999');
    }
  });

  describe('paths', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'troupe-source-'));
      await writeFile(join(folder, 'a.bin'), bytes);
      closers.push(() => rm(folder, { recursive: true }));
    });

    it('reads ranges and notices a file that shrinks', async () => {
      const source = await openSource('a', { kind: 'path', path: join(folder, 'a.bin') });
      expect(await source.read(990, 10)).toEqual(bytes.slice(990));
      await truncate(join(folder, 'a.bin'), 500);
      await expect(source.read(400, 200)).rejects.toThrow('shorter');
    });

    it('refuses what is not a regular file', async () => {
      await expect(openSource('a', { kind: 'path', path: folder })).rejects.toThrow('regular file');
      await expect(openSource('a', { kind: 'path', path: join(folder, 'b') })).rejects.toThrow('There is no file');
      await expect(openSource('a', { kind: 'path', path: '/dev/zero' })).rejects.toThrow('regular file');
    });

    it('makes a set of a folder or of one file', async () => {
      expect(await filesAt(folder)).toEqual({ 'a.bin': { kind: 'path', path: join(folder, 'a.bin') } });
      expect(await filesAt(join(folder, 'a.bin'))).toEqual({ 'a.bin': { kind: 'path', path: join(folder, 'a.bin') } });
      await expect(filesAt(join(folder, 'nowhere'))).rejects.toThrow(UserError);
    });
  });

  describe('URLs', () => {
    it('asks for ranges where the server has them', async () => {
      const asked: string[] = [];
      const url = await serve((request, response) => {
        asked.push(request.headers.range!);
        ranged(request, response);
      });
      const source = await openSource('big', { kind: 'url', url });
      expect(source.size).toBe(big.length);
      expect(await source.read(big.length - 3, 3)).toEqual(big.slice(-3));
      expect(await source.read(0, 4)).toEqual(big.slice(0, 4));
      expect(asked).toEqual([`bytes=0-${4 * 2 ** 20 - 1}`, `bytes=${big.length - 3}-${big.length - 1}`]);
    });

    it('takes the whole file where the server has no ranges', async () => {
      let requests = 0;
      const url = await serve((_, response) => (requests++, response.end(bytes)));
      const source = await openSource('a', { kind: 'url', url });
      expect(await source.read(10, 5)).toEqual(bytes.slice(10, 15));
      expect(await source.read(0, 1000)).toEqual(bytes);
      expect(requests).toBe(1);
    });

    it.each<[string, RequestListener, string]>([
      ['a missing file', (_, response) => response.writeHead(404).end(), 'answered 404'],
      [
        'a range that is not the one asked for',
        (_, response) => response.writeHead(206, { 'content-range': 'bytes 5-9/100' }).end(bytes.subarray(5, 10)),
        'inconsistent',
      ],
      [
        'more than was asked for',
        (_, response) => response.writeHead(206, { 'content-range': `bytes 0-9/100` }).end(new Uint8Array(5 * 2 ** 20)),
        'larger than',
      ],
      ['a connection that breaks', (request) => request.socket.destroy(), 'could not be fetched'],
    ])('refuses %s', async (_, answer, words) => {
      const url = await serve(answer);
      await expect(openSource('a', { kind: 'url', url })).rejects.toThrow(UserError);
      await expect(openSource('a', { kind: 'url', url })).rejects.toThrow(words);
    });

    it('notices a file that changes on its server', async () => {
      let size = big.length;
      const url = await serve((request, response) => {
        const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range!)!.map(Number);
        response
          .writeHead(206, { 'content-range': `bytes ${first}-${Math.min(last, big.length - 1)}/${size}` })
          .end(big.subarray(first, last + 1));
      });
      const source = await openSource('a', { kind: 'url', url });
      size++;
      await expect(source.read(big.length - 3, 3)).rejects.toThrow('changed on its server');
    });
  });
});
