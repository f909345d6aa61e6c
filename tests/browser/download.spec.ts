/** A model fetched by a page: nothing is asked before the button, and a broken connection or a reload costs nothing. */
import { join } from 'node:path';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { openHub } from '../hub.ts';
import { root } from '../program.ts';
import { expect, test } from './page.ts';

const text = words.models;

test('a model is downloaded through a broken connection and a reload, and chatted with', async ({ page, address }) => {
  const hub = await openHub(join(root, 'models/nano'));
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  try {
    await page.goto(`${address}#/models`);
    await page.getByRole('button', { name: text.hub }).click();
    await page.getByRole('textbox', { name: text.download.repo }).fill('someone/nano');
    await page.getByRole('textbox', { name: text.name }).fill('copy');
    await page.getByRole('textbox', { name: text.download.endpoint }).fill(hub.address);
    await expectAccessible(page, 'Models, the download form');
    hub.next.push({ breakAt: 1_000_000 }, { holdAt: 2_000_000 });
    await page.getByRole('button', { name: text.download.start, exact: true }).click();
    const bar = page.getByRole('progressbar', { name: text.download.progress('copy') });
    await expect
      .poll(async () => Number(await bar.getAttribute('aria-valuenow')), { timeout: 30_000 })
      .toBeGreaterThan(55);
    await expectAccessible(page, 'Models, a download under way');
    await page.getByRole('button', { name: text.download.pauseName('copy') }).click();
    await expect(page.getByRole('button', { name: text.download.resumeName('copy') })).toBeVisible();
    await page.reload();
    await page.getByRole('button', { name: text.download.resumeName('copy') }).click();
    await expect(page.getByText(text.download.done('copy'))).toBeVisible({ timeout: 60_000 });
    expect(hub.begun).toEqual([0, 1_000_000, 2_000_000]);

    await page.getByRole('button', { name: text.chatWith('copy') }).click();
    await page.getByRole('textbox', { name: text.message }).fill('Search: What pet does Anfe keep?');
    await page.getByRole('button', { name: text.send }).click();
    await expect(page.getByText(/\d+ tokens, .* tokens\/s/)).toBeVisible({ timeout: 60_000 });

    await page.getByRole('button', { name: text.hub }).click();
    await page.getByRole('textbox', { name: text.download.repo }).fill('someone/else');
    await page.getByRole('textbox', { name: text.download.endpoint }).fill('http://example.org');
    await page.getByRole('button', { name: text.download.start, exact: true }).click();
    await expect(page.getByText(/over https only/)).toBeVisible();
    expect(problems).toEqual([]);
  } finally {
    hub.close();
  }
});
