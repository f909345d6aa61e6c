import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openNodeStore } from './store.node.ts';
import type { Store } from './store.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

describe('a workspace folder', () => {
  let folder: string;
  let store: Store;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'troupe-store-'));
    store = openNodeStore(path.join(folder, 'workspace'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('gives back what was written, whole and in parts', async () => {
    await store.write('a/b/c.txt', bytes('0123456789'));
    expect(text(await store.read('a/b/c.txt'))).toBe('0123456789');
    expect(text(await store.readRange('a/b/c.txt', 3, 4))).toBe('3456');
    expect(text(await store.readRange('a/b/c.txt', 8, 100))).toBe('89');
    expect((await store.stat('a/b/c.txt'))?.size).toBe(10);
  });

  it('replaces a file without leaving anything beside it', async () => {
    await store.write('f', bytes('old and long'));
    await store.write('f', bytes('new'));
    expect(text(await store.read('f'))).toBe('new');
    expect(await readdir(path.join(folder, 'workspace'))).toEqual(['f']);
  });

  it('gives a claim to one living process', async () => {
    const file = path.join(folder, 'workspace', 'run', 'training');
    expect(await store.claim('run/training')).toBe(true);
    expect(await store.claim('run/training')).toBe(true); // a window that was loaded again
    await store.release('run/training');
    expect(await readdir(path.dirname(file))).toEqual([]);
    await writeFile(file, `${process.ppid}\n`);
    expect(await store.claim('run/training')).toBe(false);
    await store.release('run/training');
    expect(await store.claim('run/training')).toBe(false);
    const gone = spawnSync(process.execPath, ['-e', '']).pid;
    for (const left of [`${gone}\n`, 'not a number', '']) {
      await writeFile(file, left);
      expect(await store.claim('run/training')).toBe(true);
    }
  });

  it('appends whole lines', async () => {
    await store.append('log/m.jsonl', 'one');
    await store.append('log/m.jsonl', 'two');
    expect(text(await store.read('log/m.jsonl'))).toBe('one\ntwo\n');
  });

  it('lists folders with a slash, sorted, without files a crash left half written', async () => {
    await store.write('d/b', bytes(''));
    await store.write('d/a/x', bytes(''));
    await writeFile(path.join(folder, 'workspace/d/c.99.0.tmp'), 'half');
    expect(await store.list('d')).toEqual(['a/', 'b']);
    expect(await store.list('nowhere')).toEqual([]);
  });

  it('replaces a whole folder by moving another over it', async () => {
    await store.write('old/stays-not', bytes('1'));
    await store.write('fresh/file', bytes('2'));
    await store.move('fresh', 'old');
    expect(await store.list('old')).toEqual(['file']);
    expect(await store.list('')).toEqual(['old/']);
  });

  it('says null of what is not there, and removes without complaint', async () => {
    expect(await store.stat('x/y')).toBeNull();
    await store.remove('x/y');
    await store.write('f', bytes(''));
    expect(await store.stat('f/inside-a-file')).toBeNull();
  });

  it.each(['../out', 'a/../../out', '/etc/passwd', 'a\\..\\out', 'C:/x', 'a/./b', 'nul\0'])(
    'refuses a path that leaves the workspace: %s',
    async (bad) => {
      const calls: (() => Promise<unknown>)[] = [
        () => store.read(bad),
        () => store.write(bad, bytes('')),
        () => store.append(bad, ''),
        () => store.list(bad),
        () => store.stat(bad),
        () => store.remove(bad),
        () => store.move(bad, 'x'),
        () => store.move('x', bad),
      ];
      for (const call of calls) await expect((async () => call())()).rejects.toThrow(/leaves the workspace/);
      expect(await readdir(folder)).toEqual([]);
    },
  );

  it('never removes or replaces the workspace itself', async () => {
    const root = '';
    await store.write('kept', bytes('1'));
    await expect(Promise.resolve().then(() => store.remove(root))).rejects.toThrow(/names no file/);
    await expect(Promise.resolve().then(() => store.move('kept', root))).rejects.toThrow(/names no file/);
    expect(await store.list('')).toEqual(['kept']);
  });
});
