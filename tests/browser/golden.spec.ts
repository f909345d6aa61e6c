/** The hand-written kernels in Chromium: the tiny models' golden numbers, on whatever adapter it has, here an emulated one. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test, type Page } from '@playwright/test';
import { build, type Plugin } from 'esbuild';
import { readRealFixture } from '../golden/fixture.node.ts';

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

/** A page that answers by the script alone; everything else it asks for lies in `folder`. */
async function openGolden(page: Page, folder: string): Promise<void> {
  const script = await bundledPage();
  await page.route(`${ADDRESS}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/')
      return route.fulfill({ contentType: 'text/html', body: '<script type="module" src="/page.js"></script>' });
    if (pathname === '/page.js') return route.fulfill({ contentType: 'text/javascript', body: script });
    return route.fulfill({ body: await readFile(path.join(folder, pathname)) });
  });
  await page.goto(`${ADDRESS}/`);
  await page.waitForFunction(() => 'goldenChecks' in window);
}

test.describe('golden numbers in a page', () => {
  test.skip(!existsSync(fixtures), `there are no golden fixtures at ${fixtures}`);
  test.setTimeout(600_000);

  for (const model of ['tiny-llama', 'tiny-qwen2', 'tiny-qwen3'])
    test(model, async ({ page }) => {
      await openGolden(page, path.join(fixtures, model));
      const [address, name] = [ADDRESS, model];
      const { device, lines, tally } = await page.evaluate(([at, of]) => window.goldenChecks(at, of), [address, name]);
      expect(tally, `${device}\n${lines.join('\n')}`).toMatchObject({ failed: 0, skipped: 0 });
      expect(tally.passed).toBeGreaterThan(10);
    });

  test('minimind2-small, the beginnings of its answers', async ({ page }) => {
    const folder = path.join(fixtures, '../data/models/minimind2-small');
    test.skip(!existsSync(folder), `there is no ${folder}`);
    const { cases } = readRealFixture(path.join(fixtures, 'minimind2-small.json'))!;
    await openGolden(page, folder);
    const { device, lines, tally } = await page.evaluate(
      ([at, some]) => window.realChecks(at, 'minimind2-small', some, 16),
      [ADDRESS, cases] as const,
    );
    expect(tally, `${device}\n${lines.join('\n')}`).toEqual({ passed: 4, failed: 0, skipped: 0 });
  });
});
