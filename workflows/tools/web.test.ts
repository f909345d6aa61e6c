/** Reading the web against a server of our own: what comes through, what is refused, and that nothing inside is reached. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTool } from './index.ts';
import { isAllowedHost, pageText, type Web } from './web.ts';
import { isPublicAddress, openWeb } from './web.node.ts';

const seen: IncomingMessage[] = [];
const pages: Record<string, (response: ServerResponse) => void> = {
  '/': (response) =>
    response.setHeader('content-type', 'text/html; charset=utf-8').end('<title>Home</title><p>Hello <b>you</b></p>'),
  '/plain': (response) => response.setHeader('content-type', 'text/plain').end('one two three four'),
  '/away': (response) => response.writeHead(302, { location: 'http://inside.test/' }).end(),
  '/there': (response) => response.writeHead(301, { location: '/plain' }).end(),
  '/round': (response) => response.writeHead(307, { location: '/round' }).end(),
  '/file': (response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  '/image': (response) => response.setHeader('content-type', 'image/png').end('x'),
  '/untyped': (response) => response.end('x'),
  '/packed': (response) =>
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip' }).end('x'),
  '/long': (response) => {
    response.setHeader('content-type', 'text/plain');
    const more = (): void => {
      while (response.write('x'.repeat(10_000)));
      response.once('drain', more);
    };
    more();
  },
  '/never': () => {},
  '/drip': (response) => {
    response.setHeader('content-type', 'text/plain');
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
  },
};
const server = createServer((request, response) => {
  seen.push(request);
  const page = pages[request.url ?? ''];
  if (page === undefined) response.writeHead(404).end();
  else page(response);
});

let port = '';
let web: Web;
/** Names of this test: some lie here, one lies inside, one has both kinds of address. */
const named: Record<string, string[]> = {
  'page.test': ['127.0.0.1'],
  'deep.page.test': ['127.0.0.1'],
  'inside.test': ['10.0.0.7'],
  'both.page.test': ['127.0.0.1', '169.254.169.254'],
  'moving.page.test': ['127.0.0.1'],
};
const lookup = ((host: string, _options: object, done: (error: Error | null, found: object[]) => void) =>
  done(
    named[host] === undefined ? new Error('no such name') : null,
    (named[host] ?? []).map((address) => ({ address, family: 4 })),
  )) as never;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = String((server.address() as AddressInfo).port);
  web = openWeb({ mayConnect: (address) => address === '127.0.0.1', lookup, ports: [port] });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const limits = { hosts: ['page.test', 'inside.test'], timeMs: 5_000, maxBytes: 100_000 };
const at = (path: string, host = 'page.test') => `http://${host}:${port}${path}`;

describe('a page', () => {
  it('is read with GET, without cookies, of a host or below one', async () => {
    expect(await web.read(at('/', 'deep.page.test'), limits)).toMatchObject({
      type: 'text/html',
      text: expect.stringContaining('Hello'),
    });
    const { method, headers } = seen.at(-1)!;
    expect(method).toBe('GET');
    expect(Object.keys(headers).sort()).toEqual(['accept', 'accept-encoding', 'connection', 'host', 'user-agent']);
  });

  it('is followed through redirects, each checked', async () => {
    expect(await web.read(at('/there'), limits)).toMatchObject({ url: at('/plain'), text: 'one two three four' });
    await expect(web.read(at('/round'), limits)).rejects.toThrow(/Too many redirects/);
    await expect(web.read(at('/file'), limits)).rejects.toThrow(/Only http and https/);
    // Back to the usual port, which these tests do not read; then the address itself.
    await expect(web.read(at('/away'), limits)).rejects.toThrow(/Only the usual ports/);
    await expect(
      openWeb({ mayConnect: (address) => address === '127.0.0.1', lookup, ports: [port, ''] }).read(
        at('/away'),
        limits,
      ),
    ).rejects.toThrow(/not on the public internet: inside.test/);
  });

  it.each<[string, () => string, RegExp]>([
    ['no address', () => 'hello', /Not an address/],
    ['another scheme', () => 'ftp://page.test/', /Only http/],
    ['a file', () => 'file:///etc/passwd', /Only http/],
    ['a password', () => `http://me:secret@page.test:${port}/`, /name and password/],
    ['another host', () => 'https://example.org/', /may not be read: example.org; the node allows page.test/],
    ['a host that ends alike', () => at('/', 'evilpage.test'), /may not be read/],
    ['another port', () => 'http://page.test:22/', /Only the usual ports/],
    ['an endless address', () => `https://page.test/${'a'.repeat(3_000)}`, /Not an address/],
    ['a host inside', () => at('/', 'inside.test'), /not on the public internet/],
    ['a host with an address inside among others', () => at('/', 'both.page.test'), /not on the public internet/],
    ['a name that is not found', () => at('/', 'no.page.test'), /could not be read \(no such name\)/],
    ['a page that is missing', () => at('/none'), /answers 404/],
    ['an image', () => at('/image'), /no text \(image\/png\)/],
    ['something without a type', () => at('/untyped'), /no text \(without a type\)/],
    ['a packed page', () => at('/packed'), /comes packed/],
    ['a page without end', () => at('/long'), /longer than 98 KiB/],
  ])('is refused with one sentence: %s', async (_, address, sentence) => {
    await expect(web.read(address(), limits)).rejects.toThrow(sentence);
  });

  it.each(['/never', '/drip'])('is given up when it takes too long: %s', async (path) => {
    const began = performance.now();
    await expect(web.read(at(path), { ...limits, timeMs: 200 })).rejects.toThrow(/No page within 200 ms/);
    expect(performance.now() - began).toBeLessThan(3_000);
  });

  it('is never of this machine or its net, however it is written', async () => {
    for (const address of [
      '127.0.0.1',
      '10.1.2.3',
      '172.16.0.1',
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '0.0.0.0',
      '224.0.0.1',
      '255.255.255.255',
      '::1',
      '::',
      '::ffff:127.0.0.1',
      '::ffff:8.8.8.8',
      'fe80::1',
      'fd00::1',
      'ff02::1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
      'nonsense',
    ])
      expect([address, isPublicAddress(address)]).toEqual([address, false]);
    for (const address of ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2001:4860:4860::8888'])
      expect([address, isPublicAddress(address)]).toEqual([address, true]);
    const open = openWeb();
    for (const host of ['127.0.0.1', '2130706433', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]']) {
      const { hostname } = new URL(`http://${host}/`);
      await expect(open.read(`http://${host}/`, { ...limits, hosts: [hostname] })).rejects.toThrow(
        /not on the public internet/,
      );
    }
    await expect(open.read('http://localhost/', { ...limits, hosts: ['localhost'] })).rejects.toThrow(
      /not on the public internet/,
    );
  });
});

describe('the tool', () => {
  const open = (settings: object = { hosts: ['page.test'] }) =>
    openTool({ id: 'w', kind: 'tool', title: '', timeoutMs: 9_000, tool: 'web-fetch', settings: settings as never });

  it('is off until the web is allowed, and names its hosts', async () => {
    await expect(open().run({ urls: at('/') }, { corpus: null, paragraphs: [] })).rejects.toThrow(
      /web is off for this run.*--allow-web/,
    );
    expect(() => open({})).toThrow(/does not take this setting/);
    for (const host of ['*', 'localhost', 'com', 'http://page.test', '10.0.0.1'])
      expect(() => open({ hosts: [host] })).toThrow(/does not take this setting/);
  });

  it('gives titles and words, and what it has where one page fails', async () => {
    const context = { corpus: null, paragraphs: [], web };
    expect(await open({ hosts: ['page.test'], words: 2 }).run({ urls: [at('/'), at('/plain')] }, context)).toEqual({
      passages: [
        { title: 'Home', text: 'Hello you' },
        { title: at('/plain'), text: 'one two' },
      ],
    });
    await expect(open().run({ urls: [at('/none'), at('/plain')] }, context)).rejects.toMatchObject({
      message: expect.stringMatching(/answers 404/),
      outputs: { passages: [{ text: 'one two three four' }] },
    });
    await expect(open().run({ urls: 7 }, context)).rejects.toThrow(/list of addresses/);
  });
});

describe('the text of a page', () => {
  it('is what a reader sees', () => {
    const html =
      '<!doctype html><head><title>A &amp; B</title><style>p{}</style><script>if (a<b) "</p>"</script></head><body><h1>Hi</h1><!-- <p>no</p> --><p>x&nbsp;&#233;&#x1F600; &unknown;</p>2 < 3</body>';
    expect(pageText(html)).toEqual({ title: 'A & B', text: 'Hi\nx é😀 &unknown;\n2' });
  });

  it('takes any page in linear time', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '<script',
      '</script>',
      '<!--',
      '-->',
      '</',
      '&#',
      ';',
      'a',
      '<title>',
      '<p>',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => typeof pageText(pieces.join('')).text === 'string'),
    );
    for (const bomb of ['<script', '<title>', '</', '<!--', '&#1', '<p>', '<'.repeat(7)]) {
      const began = performance.now();
      pageText(bomb.repeat(200_000));
      expect(performance.now() - began).toBeLessThan(5_000);
    }
  });

  it('knows hosts below a host', () => {
    expect(isAllowedHost('a.b.org', ['b.org'])).toBe(true);
    expect(isAllowedHost('ab.org', ['b.org'])).toBe(false);
  });
});
