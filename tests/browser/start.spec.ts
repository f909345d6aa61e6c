/** `npm start` without a display: what it says, and what its page's server answers and refuses. */
import { readdirSync } from 'node:fs';
import { request as rawRequest } from 'node:http';
import { resolve } from 'node:path';
import { root, startProgram } from '../program.ts';
import { expect, test } from './page.ts';

/** A request that no client library tidies up first. */
function raw(
  address: string,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(address);
  return new Promise((settle, fail) => {
    const sent = rawRequest({ hostname, port, path, method, headers }, (response) => {
      let body = '';
      response.on('data', (chunk) => (body += chunk));
      response.on('end', () => settle({ status: response.statusCode!, body }));
    });
    sent.on('error', fail);
    sent.end();
  });
}

test('says that it shows a page and why, without being asked for one', async () => {
  const program = startProgram(['scripts/start.mjs', '--port', '0'], {
    DISPLAY: undefined,
    WAYLAND_DISPLAY: undefined,
  });
  try {
    await program.printed(/Troupe runs as a page: there is no display/);
    const [, address] = await program.printed(/Open (http:\S+)/);
    expect((await fetch(address)).status).toBe(200);
  } finally {
    await program.stop();
  }
});

test('takes a free port where the wanted one is in use, and says so', async ({ address }) => {
  const taken = new URL(address).port;
  const program = startProgram(['scripts/start.mjs', '--browser', '--port', taken]);
  try {
    await program.printed(new RegExp(`Port ${taken} is in use`));
    const [, other] = await program.printed(/Open http:\/\/127\.0\.0\.1:(\d+)\//);
    expect(other).not.toBe(taken);
  } finally {
    await program.stop();
  }
});

test('refuses a port that is none', async () => {
  const program = startProgram(['scripts/start.mjs', '--port', 'high']);
  await program.printed(/--port must be from 0 to 65535: high/);
});

test('isolates the page and sends every file with its own type', async ({ address }) => {
  const page = await fetch(address);
  expect(page.headers.get('cross-origin-opener-policy')).toBe('same-origin');
  expect(page.headers.get('cross-origin-embedder-policy')).toBe('require-corp');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
  expect(page.headers.get('content-security-policy')).not.toContain("'unsafe-eval'");
  expect(page.headers.get('x-content-type-options')).toBe('nosniff');
  const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(await page.text())![1];
  expect((await fetch(new URL(script, address))).headers.get('content-type')).toContain('text/javascript');
});

test('lets nothing but the worker that fetches models reach another host', async ({ address }) => {
  const assets = readdirSync(resolve(root, 'dist/renderer/assets')).filter((name) => name.endsWith('.js'));
  const connects = await Promise.all(
    assets.map(async (name) => {
      const policy = (await fetch(new URL(`assets/${name}`, address))).headers.get('content-security-policy')!;
      return { name, connect: /connect-src ([^;]*)/.exec(policy)![1] };
    }),
  );
  const open = connects.filter(({ connect }) => connect !== "'self' blob: data:");
  expect(open).toEqual([
    {
      name: expect.stringMatching(/^downloads\.web-/),
      connect: "'self' https: http://127.0.0.1:* http://localhost:*",
    },
  ]);
});

test('answers ranges as they were asked', async ({ address }) => {
  const whole = await (await fetch(new URL('index.html', address))).text();
  const part = await fetch(new URL('index.html', address), { headers: { Range: 'bytes=2-8' } });
  expect(part.status).toBe(206);
  expect(await part.text()).toBe(whole.slice(2, 9));
  const tail = await fetch(new URL('index.html', address), { headers: { Range: 'bytes=-5' } });
  expect(await tail.text()).toBe(whole.slice(-5));
  expect((await fetch(new URL('index.html', address), { headers: { Range: 'bytes=99999999-' } })).status).toBe(416);
});

test('serves nothing from outside its folder', async ({ address }) => {
  for (const path of [
    '/../../package.json',
    '/..%2f..%2fpackage.json',
    '/%2e%2e/%2e%2e/package.json',
    '/assets/..%5c..%5cpackage.json',
    '/.stamp',
    '/%00',
    '//etc/passwd',
    '/%zz',
  ]) {
    const answer = await raw(address, path);
    expect(answer.status, path).toBe(404);
    expect(answer.body).not.toContain('troupe');
  }
});

test('answers only requests addressed to this machine, and only reads', async ({ address }) => {
  expect((await raw(address, '/', { Host: 'elsewhere.example' })).status).toBe(403);
  expect((await raw(address, '/', {}, 'POST')).status).toBe(405);
  expect((await raw(address, '/', {}, 'DELETE')).status).toBe(405);
});
