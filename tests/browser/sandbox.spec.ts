/** The JavaScript sandbox as it is built for the page, in a real browser under the page's own security policy. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { root } from '../program.ts';
import { expect, test } from './page.ts';

test('a program runs, is stopped at its limit, and leaves nothing behind', async ({ page, address }) => {
  const built = readdirSync(resolve(root, 'dist/renderer/assets')).find((name) =>
    /^javascript\.web-.*\.js$/.test(name),
  );
  await page.goto(address);
  const replies = await page.evaluate(async (worker) => {
    const thread = new Worker(new URL(worker, document.baseURI), { type: 'module' });
    const next = () =>
      new Promise<{ reply?: { ok: boolean; output: string; error: string | null } }>((settle, fail) => {
        thread.addEventListener('message', (event) => settle(event.data), { once: true });
        thread.addEventListener('error', (event) => fail(new Error(event.message)), { once: true });
      });
    await next();
    const run = async (program: string, timeMs: number) => {
      const limits = { timeMs, memoryBytes: 48 * 2 ** 20, outputChars: 100 };
      thread.postMessage({ program, test: null, data: '[1, 2]', limits });
      return (await next()).reply;
    };
    return [
      await run('console.log(data.map((x) => x * 2), typeof fetch, typeof self); globalThis.left = 1', 10_000),
      await run('for (;;);', 200),
      await run('const a = []; for (;;) a.push(new Array(1000).fill(1))', 10_000),
      await run('console.log(typeof left)', 10_000),
    ];
  }, `assets/${built}`);
  expect(replies).toMatchObject([
    { ok: true, output: '[ 2, 4 ] undefined undefined' },
    { ok: false, error: 'stopped: still running after 200 ms' },
    { ok: false, error: 'out of memory: more than 48 MiB' },
    { ok: true, output: 'undefined' },
  ]);
});
