/** The hand-written kernels in Chromium: the tiny models' golden numbers, on whatever adapter it has, here an emulated one. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from '@playwright/test';
import { build, type Plugin } from 'esbuild';

const root = path.resolve(import.meta.dirname, '../..');
const fixtures = path.join(process.env['TROUPE_SHARED'] ?? path.join(root, '../shared'), 'fixtures');
/** Nobody listens there: every request is answered below. An address of this machine, since WebGPU wants a secure context. */
const ADDRESS = 'http://127.0.0.1:9';

/** Assets of the build, which no check here asks for. */
const withoutAssets: Plugin = {
  name: 'assets',
  setup: ({ onResolve, onLoad }) => {
    onResolve({ filter: /\?url$/ }, (found) => ({ path: found.path, namespace: 'asset' }));
    onLoad({ filter: /./, namespace: 'asset' }, () => ({ contents: 'export default "";' }));
  },
};

async function bundledPage(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [path.join(root, 'tests/golden/page.ts')],
    ...{ bundle: true, write: false, platform: 'browser', format: 'esm', target: 'es2022', logLevel: 'error' },
    plugins: [withoutAssets],
  });
  return outputFiles[0].text;
}

test.describe('golden numbers in a page', () => {
  test.skip(!existsSync(fixtures), `there are no golden fixtures at ${fixtures}`);
  test.setTimeout(600_000);

  for (const model of ['tiny-llama', 'tiny-qwen2', 'tiny-qwen3'])
    test(model, async ({ page }) => {
      const script = await bundledPage();
      await page.route(`${ADDRESS}/**`, async (route) => {
        const { pathname } = new URL(route.request().url());
        if (pathname === '/')
          return route.fulfill({ contentType: 'text/html', body: '<script type="module" src="/page.js"></script>' });
        if (pathname === '/page.js') return route.fulfill({ contentType: 'text/javascript', body: script });
        return route.fulfill({ body: await readFile(path.join(fixtures, model, pathname)) });
      });
      await page.goto(`${ADDRESS}/`);
      await page.waitForFunction(() => 'goldenChecks' in window);
      const [address, name] = [ADDRESS, model];
      const { device, lines, tally } = await page.evaluate(([at, of]) => window.goldenChecks(at, of), [address, name]);
      expect(tally, `${device}\n${lines.join('\n')}`).toMatchObject({ failed: 0, skipped: 0 });
      expect(tally.passed).toBeGreaterThan(10);
    });
});
