/** Downloads from a server of our own that drops, truncates, corrupts, redirects, stalls, lies and asks to wait. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Download, DownloadApi } from '../protocol.ts';
import { openNodeStore } from '../workspace/store.node.ts';
import { openNodeDownloads } from './downloads.node.ts';
import { openRate } from './rate.ts';
import { retryAfterMs } from './patience.ts';

const weights = randomBytes(300_000);
const config = Buffer.from('{"model_type": "llama"}');
const commit = 'a'.repeat(40);
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const gitBlob = (bytes: Buffer): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

type Answer = (request: IncomingMessage, response: ServerResponse, attempt: number) => void;

const listing = (): object => ({
  sha: commit,
  siblings: [
    { rfilename: 'README.md', size: 5, blobId: 'b'.repeat(40) },
    { rfilename: 'config.json', size: config.length, blobId: gitBlob(config) },
    { rfilename: 'model.safetensors', size: weights.length, lfs: { sha256: sha256(weights), size: weights.length } },
    { rfilename: '../../evil.json', size: 5, blobId: 'b'.repeat(40) },
    { rfilename: 'onnx/model.safetensors', size: 5, blobId: 'b'.repeat(40) },
  ],
});

/** Sends the weights from where they are asked for, up to `until`. */
function send(request: IncomingMessage, response: ServerResponse, until = weights.length, bytes = weights): void {
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': bytes.length - from,
    ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
  });
  if (until >= bytes.length) return void response.end(bytes.subarray(from));
  response.write(bytes.subarray(from, Math.max(from, until)), () => setTimeout(() => response.destroy(), 20));
}

describe('downloads', () => {
  let folder: string;
  let server: Server;
  let base: string;
  let seen: { url: string; range?: string; auth?: string }[];
  let told: Download[];
  let onWeights: Answer;
  let onListing: Answer;
  let attempts: number;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-download-'));
    seen = [];
    told = [];
    attempts = 0;
    onWeights = (request, response) => send(request, response);
    onListing = (_request, response) => void response.end(JSON.stringify(listing()));
    server = createServer((request, response) => {
      seen.push({ url: request.url!, range: request.headers.range, auth: request.headers.authorization });
      if (request.url!.includes('/api/')) return onListing(request, response, 0);
      if (request.url!.endsWith('/config.json')) return void response.end(config);
      if (request.url!.endsWith('/model.safetensors')) return onWeights(request, response, attempts++);
      response.writeHead(404).end();
    });
    base = await listen(server);
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function listen(one: Server): Promise<string> {
    await new Promise<void>((ready) => one.listen(0, '127.0.0.1', ready));
    return `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
  }

  const patience = { silenceMs: 1_500, retries: 3, waitMs: 5, longestWaitMs: 200 };
  const open = (more: { token?: string } = {}): DownloadApi =>
    openNodeDownloads({
      store: openNodeStore(folder),
      folder,
      onDownload: (download) => told.push(download),
      patience,
      ...more,
    });

  async function settled(state: Download['state'][] = ['done', 'failed']): Promise<Download> {
    const until = Date.now() + 30_000;
    while (Date.now() < until) {
      const last = told.at(-1);
      if (last && state.includes(last.state)) return last;
      await new Promise((next) => setTimeout(next, 10));
    }
    throw new Error(`no ${state.join()} but ${JSON.stringify(told.at(-1))}`);
  }

  async function expectWhole(name = 'tiny'): Promise<void> {
    expect((await readdir(path.join(folder, 'models'))).sort()).toEqual([name]);
    expect((await readdir(path.join(folder, 'models', name))).sort()).toEqual(['config.json', 'model.safetensors']);
    expect((await readFile(path.join(folder, 'models', name, 'model.safetensors'))).equals(weights)).toBe(true);
  }

  it('bring the files of a model, pinned to one commit, and no others', async () => {
    await open().download({ repo: 'Some/Tiny@v1', endpoint: `${base}/hub/`, name: 'mine' });
    expect(await settled()).toMatchObject({ state: 'done', name: 'mine', doneBytes: weights.length + config.length });
    await expectWhole('mine');
    expect(seen.map(({ url }) => url)).toEqual([
      '/hub/api/models/Some/Tiny/revision/v1?blobs=true',
      `/hub/Some/Tiny/resolve/${commit}/config.json`,
      `/hub/Some/Tiny/resolve/${commit}/model.safetensors`,
    ]);
  });

  it('ask nothing of anybody before they are told to', async () => {
    expect(await open().downloads()).toEqual([]);
    expect(seen).toEqual([]);
  });

  it('go on where a connection was dropped', async () => {
    onWeights = (request, response, attempt) =>
      send(request, response, attempt < 3 ? 80_000 * (attempt + 1) : undefined);
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).state).toBe('done');
    await expectWhole();
    const ranges = seen.flatMap(({ range }) => (range === undefined ? [] : [Number(/\d+/.exec(range)![0])]));
    expect(ranges.length).toBe(3);
    expect(ranges[0]).toBeGreaterThan(0);
    expect([...ranges].sort((a, b) => a - b)).toEqual(ranges);
  });

  it('give up after failures that bring nothing, and go on when resumed', async () => {
    onWeights = (_request, response) => response.destroy();
    const api = open();
    await api.download({ repo: 'some/tiny', endpoint: base });
    expect(await settled()).toMatchObject({ state: 'failed', note: expect.stringMatching(/resume the download/) });
    onWeights = (request, response) => send(request, response);
    told.length = 0;
    expect(await api.downloads()).toMatchObject([{ name: 'tiny', state: 'paused', doneBytes: config.length }]);
    await api.resumeDownload('tiny');
    expect((await settled()).state).toBe('done');
    await expectWhole();
    expect(seen.filter(({ url }) => url.endsWith('config.json'))).toHaveLength(1);
    expect(seen.filter(({ url }) => url.includes('/api/'))).toHaveLength(1);
  });

  it('fetch what is corrupt once more, and say so when it stays corrupt', async () => {
    const wrong = Buffer.from(weights);
    wrong[1_000] ^= 1;
    onWeights = (request, response, attempt) => send(request, response, undefined, attempt === 0 ? wrong : weights);
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).state).toBe('done');
    await expectWhole();
    onWeights = (request, response) => send(request, response, undefined, wrong);
    told.length = 0;
    await open().download({ repo: 'some/tiny', endpoint: base, name: 'other' });
    expect((await settled()).note).toMatch(/checksum that is not the announced one/);
    expect(await readdir(path.join(folder, 'models/.downloading-other'))).not.toContain('model.safetensors');
  });

  it('check a part that somebody changed in the meantime', async () => {
    onWeights = (request, response) => send(request, response, 100_000);
    const api = openNodeDownloads({
      store: openNodeStore(folder),
      folder,
      onDownload: (download) => told.push(download),
      patience: { ...patience, retries: 0 },
    });
    await api.download({ repo: 'some/tiny', endpoint: base });
    await settled(['failed']);
    const part = path.join(folder, 'models/.downloading-tiny/model.safetensors.part');
    await writeFile(part, Buffer.alloc((await readFile(part)).length, 7));
    onWeights = (request, response) => send(request, response);
    told.length = 0;
    await api.resumeDownload('tiny');
    expect((await settled()).state).toBe('done');
    await expectWhole();
  });

  it('start again where a server cannot go on, and where a part is too long', async () => {
    onWeights = (request, response, attempt) => {
      if (attempt === 0) return send(request, response, 100_000);
      if (attempt === 1) return void response.writeHead(416).end();
      if (attempt === 2) return send(request, response, 50_000);
      return void response.end(weights);
    };
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).state).toBe('done');
    await expectWhole();
  });

  it('refuse more than was announced', async () => {
    onWeights = (_request, response) => void response.end(Buffer.concat([weights, weights]));
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).note).toMatch(/goes on beyond the 300000 bytes/);
  });

  it('wait as long as a busy server asks, and try again after silence', async () => {
    onWeights = (request, response, attempt) => {
      if (attempt === 0) return void response.writeHead(429, { 'retry-after': '0.1' }).end();
      if (attempt === 1) return void response.writeHead(503).end();
      if (attempt === 2) return; // says nothing at all
      send(request, response);
    };
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).state).toBe('done');
    await expectWhole();
    expect(told.filter(({ state }) => state === 'waiting').map(({ note }) => note)).toEqual([
      expect.stringMatching(/busy \(429\)/),
      expect.stringMatching(/busy \(503\)/),
      expect.stringMatching(/nothing came for a long time/),
    ]);
  });

  it('follow redirects without taking the token along', async () => {
    const elsewhere: { auth?: string; cookie?: string }[] = [];
    const store = createServer((request, response) => {
      elsewhere.push({ auth: request.headers.authorization, cookie: request.headers.cookie });
      send(request, response);
    });
    const other = await listen(store);
    onWeights = (_request, response) =>
      void response
        .writeHead(302, { location: `${other.replace('//', '//user:word@')}/blob?signed=1`, 'set-cookie': 'a=b' })
        .end();
    try {
      await open({ token: 'secret' }).download({ repo: 'some/tiny', endpoint: base });
      expect((await settled()).state).toBe('done');
    } finally {
      store.close();
    }
    expect(seen.map(({ auth }) => auth)).toEqual(['Bearer secret', 'Bearer secret', 'Bearer secret']);
    expect(elsewhere).toEqual([{ auth: undefined, cookie: undefined }]);
  });

  it.each([
    ['http://example.org/x', /not encrypted: example\.org/],
    ['file:///etc/passwd', /not encrypted/],
    ['/again', /redirects more than/],
  ])('refuse a redirect to %s', async (location, why) => {
    const turn: Answer = (_request, response) => void response.writeHead(302, { location }).end();
    onWeights = turn;
    server.prependListener('request', (request, response) => {
      if (request.url === '/again') turn(request, response, 0);
    });
    server.removeAllListeners('request');
    server.on('request', (request, response) => {
      if (request.url!.includes('/api/')) onListing(request, response, 0);
      else if (request.url!.endsWith('/config.json')) response.end(config);
      else turn(request, response, 0);
    });
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).note).toMatch(why);
  });

  it('pause, survive the end of the program, and go on', async () => {
    let held: ServerResponse | null = null;
    onWeights = (request, response, attempt) => {
      if (attempt > 0) return send(request, response);
      response.writeHead(200, { 'content-length': weights.length });
      response.write(weights.subarray(0, 120_000));
      held = response;
    };
    const api = open();
    await api.download({ repo: 'some/tiny', endpoint: base });
    while ((await api.downloads())[0].doneBytes < 120_000) await new Promise((next) => setTimeout(next, 5));
    expect(held).not.toBeNull();
    await api.pauseDownload('tiny');
    expect(told.at(-1)).toMatchObject({ state: 'paused', doneBytes: 120_000 + config.length });
    const later = open();
    expect(await later.downloads()).toMatchObject([
      { name: 'tiny', state: 'paused', doneBytes: 120_000 + config.length, totalBytes: weights.length + config.length },
    ]);
    await later.resumeDownload('tiny');
    expect((await settled()).state).toBe('done');
    expect(seen.at(-1)!.range).toBe('bytes=120000-');
    await expectWhole();
  });

  it('leave nothing behind when they are cancelled', async () => {
    onWeights = (request, response) => send(request, response, 1_000);
    const api = open();
    await api.download({ repo: 'some/tiny', endpoint: base });
    await api.cancelDownload('tiny');
    expect(await readdir(path.join(folder, 'models'))).toEqual([]);
    expect(await api.downloads()).toEqual([]);
    await expect(api.cancelDownload('tiny')).rejects.toThrow(/No such download/);
  });

  it.each([
    [401, /asks for permission \(401\).*HF_TOKEN/],
    [404, /no such model or file/],
    [418, /answered with status 418/],
  ])('say what a refusal with %s means', async (status, why) => {
    onListing = (_request, response) => void response.writeHead(status).end();
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).note).toMatch(why);
  });

  it.each([
    ['no JSON', 'surprise', /did not answer with JSON/],
    ['another shape', '{"sha": 3}', /is not understood/],
    ['no model', JSON.stringify({ sha: commit, siblings: [{ rfilename: 'cat.jpg' }] }), /holds no model/],
    [
      'no checksum',
      JSON.stringify({
        sha: commit,
        siblings: [{ rfilename: 'config.json' }, { rfilename: 'model.safetensors', size: 3 }],
      }),
      /gives no checksum of config\.json/,
    ],
    [
      'more than the disk holds',
      JSON.stringify({
        sha: commit,
        siblings: [{ rfilename: 'a.gguf', lfs: { sha256: 'c'.repeat(64), size: 2 ** 45 } }],
      }),
      /disk has too little room/,
    ],
    ['a list without end', '[1,'.padEnd(9_000_000, '1'), /larger than 8388608 bytes/],
  ])('refuse a listing with %s', async (_what, text, why) => {
    onListing = (_request, response) => void response.end(text);
    await open().download({ repo: 'some/tiny', endpoint: base });
    expect((await settled()).note).toMatch(why);
  });

  it.each([
    ['../x', undefined, /Not a model's name/],
    ['a/b/c/d', undefined, /Not a model's name/],
    ['a/..', undefined, /Not a model's name/],
    ['a/b', 'http://example.org', /over https only/],
    ['a/b', 'ftp://127.0.0.1', /over https only/],
    ['a/b', 'nonsense', /Not an address/],
    ['a/b', 'https://me:word@example.org', /Leave name and password out/],
  ])('refuse the name %s at %s before anything is asked', async (repo, endpoint, why) => {
    await expect(open().download({ repo, ...(endpoint ? { endpoint } : {}) })).rejects.toThrow(why);
    expect(seen).toEqual([]);
  });

  it('refuse a name that is taken', async () => {
    const api = open();
    await api.download({ repo: 'some/tiny', endpoint: base });
    await settled();
    await expect(api.download({ repo: 'other/tiny', endpoint: base })).rejects.toThrow(/model of that name already/);
  });
});

describe('rates', () => {
  it('say nothing before they know, and slow down when nothing comes', () => {
    const rate = openRate();
    expect(rate.etaMs(100, 0)).toBeNull();
    for (let at = 0; at <= 4_000; at += 50) rate.add(5, at);
    expect(rate.perSecond(4_000)).toBeCloseTo(101, 0);
    expect(rate.etaMs(1_000, 4_000)).toBeCloseTo(9_900, -2);
    expect(rate.perSecond(9_000)).toBeLessThan(50);
    expect(rate.etaMs(1_000, 30_000)).toBeNull();
  });
  it('read how long a server asks to wait', () => {
    expect(retryAfterMs('3')).toBe(3_000);
    expect(retryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4_000)).toBe(6_000);
    expect(retryAfterMs('soon')).toBeNull();
    expect(retryAfterMs(null)).toBeNull();
  });
});
