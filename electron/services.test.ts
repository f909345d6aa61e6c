/** Keys and services of the desktop, with a key store and a network played by a script. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeys, type Vault } from './keys.ts';
import { openServices } from './services.ts';

const vault: Vault = {
  isEncryptionAvailable: () => true,
  encryptString: (text) => Buffer.from([...Buffer.from(text)].map((byte) => byte ^ 0x5a)),
  decryptString: (bytes) => Buffer.from([...bytes].map((byte) => byte ^ 0x5a)).toString(),
};
const origin = 'https://api.example.com';

describe('services of the desktop', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'troupe-keys-'));
    path = join(folder, 'profile', 'keys.json');
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('keep a key encrypted, for one name and one origin', async () => {
    await openKeys(path, vault, {}).keep('MY_KEY', origin, ' s3cret-value ');
    const keys = openKeys(path, vault, { OTHER_KEY: 'from outside' });
    expect(await readFile(path, 'utf8')).not.toContain('s3cret');
    expect(await keys.read('MY_KEY', origin)).toBe('s3cret-value');
    expect(await keys.place('MY_KEY', origin)).toBe('kept');
    expect(await keys.read('MY_KEY', 'https://elsewhere.example')).toBeUndefined();
    expect(await keys.place('MY_KEY', 'https://elsewhere.example')).toBe('missing');
    expect([await keys.read('OTHER_KEY', origin), await keys.place('OTHER_KEY', origin)]).toEqual([
      'from outside',
      'environment',
    ]);
  });

  it('write no key where the system keeps none safely, and outlive a damaged file', async () => {
    const plain = { ...vault, getSelectedStorageBackend: () => 'basic_text' };
    await expect(openKeys(path, plain, {}).keep('MY_KEY', origin, 's3cret')).rejects.toThrow(
      'set MY_KEY in the environment',
    );
    await expect(readFile(path)).rejects.toThrow('ENOENT');
    await openKeys(path, vault, {}).keep('MY_KEY', origin, 's3cret');
    const broken = { ...vault, decryptString: () => { throw new Error('not mine'); } }; // prettier-ignore
    expect(await openKeys(path, broken, {}).read('MY_KEY', origin)).toBeUndefined();
    await expect(openKeys(path, vault, {}).keep('MY_KEY', origin, ' ')).rejects.toThrow('from 1 to 10000 characters');
  });

  it('are asked once whether they may be asked, and sent nothing where they may not', async () => {
    const sent: [string, string | null][] = [];
    const asked: string[] = [];
    let yes = false;
    const services = openServices(
      openKeys(path, vault, { MY_KEY: 's3cret' }),
      {
        maySend: async (where, key) => {
          asked.push(`${where} ${key}`);
          return yes;
        },
        mayRead: async () => false,
      },
      async (url, init) => {
        sent.push([String(url), new Headers(init?.headers).get('authorization')]);
        return new Response('{}');
      },
    );
    const request = { url: `${origin}/v1/chat/completions`, body: '{}', keyFrom: 'MY_KEY', timeoutMs: 1_000 };
    await expect(services.post(request)).rejects.toThrow(`Nothing was sent to ${origin}`);
    yes = true;
    const answers = await Promise.all([services.post(request), services.post(request)]);
    expect(answers[0]).toEqual({ status: 200, retryAfter: null, text: '{}' });
    expect(sent).toEqual([
      [request.url, 'Bearer s3cret'],
      [request.url, 'Bearer s3cret'],
    ]);
    expect(asked).toEqual([`${origin} MY_KEY`, `${origin} MY_KEY`]);
    for (const url of ['file:///etc/passwd', 'nothing'])
      await expect(services.post({ ...request, url })).rejects.toThrow('Not the address of a service');
  });

  it('read pages of the hosts a person allowed, asked once for each list of them', async () => {
    const read: string[] = [];
    const asked: string[] = [];
    let yes = false;
    const services = openServices(
      openKeys(path, vault, {}),
      {
        maySend: async () => false,
        mayRead: async (hosts) => {
          asked.push(hosts.join(' '));
          return yes;
        },
      },
      fetch,
      {
        read: async (url) => {
          read.push(url);
          return { url, type: 'text/plain', text: 'a page' };
        },
      },
    );
    const limits = { hosts: ['b.example', 'a.example'], timeMs: 1_000, maxBytes: 1_024 };
    const page = 'https://a.example/page';
    await expect(services.readPage(page, limits)).rejects.toThrow('Nothing was read from a.example, b.example');
    expect(read).toEqual([]);
    yes = true;
    expect(await services.readPage(page, limits)).toMatchObject({ text: 'a page' });
    await services.readPage(page, { ...limits, hosts: ['a.example', 'b.example'] });
    await services.readPage(page, { ...limits, hosts: ['c.example'] });
    expect(asked).toEqual(['a.example b.example', 'a.example b.example', 'c.example']);
    expect(read.length).toBe(3);
    for (const wrong of [{ hosts: [] }, { hosts: ['*'] }, { timeMs: 3e6 }, { maxBytes: 2 ** 40 }])
      await expect(services.readPage(page, { ...limits, ...wrong })).rejects.toThrow();
    expect(read.length).toBe(3);
  });
});
