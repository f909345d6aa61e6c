/** A model fetched in the desktop window: nothing is asked before the button, and what comes is a model to chat with. */
import { join } from 'node:path';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { openHub } from '../hub.ts';
import { root } from '../program.ts';
import { expect, test } from './window.ts';

test('a model is downloaded by its name', async ({ desktop: { window: page } }) => {
  const hub = await openHub(join(root, 'models/nano'));
  const text = words.models;
  try {
    await page.getByRole('navigation').getByRole('link', { name: words.nav.models }).click();
    await page.getByRole('button', { name: text.hub }).click();
    await expectAccessible(page, 'Models, the download form');
    await page.getByRole('textbox', { name: text.download.repo }).fill('someone/nano');
    await page.getByRole('textbox', { name: text.name }).fill('copy');
    await page.getByRole('textbox', { name: text.download.endpoint }).fill(hub.address);
    await page.getByRole('button', { name: text.download.start, exact: true }).click();
    await expect(page.getByText(text.download.done('copy'))).toBeVisible({ timeout: 60_000 });
    await expect(page.getByRole('button', { name: text.chatWith('copy') })).toBeVisible({ timeout: 60_000 });
    hub.close();
    await page.getByRole('button', { name: text.hub }).click();
    await page.getByRole('textbox', { name: text.download.repo }).fill('someone/else');
    await page.getByRole('textbox', { name: text.download.endpoint }).fill(hub.address);
    await page.getByRole('button', { name: text.download.start, exact: true }).click();
    await expect(page.getByText(/cannot be reached/)).toBeVisible();
    await page.getByRole('button', { name: text.download.cancelName('else') }).click();
    await page.getByRole('button', { name: text.download.cancel, exact: true }).click();
    await expect(page.getByRole('heading', { name: text.download.running })).toBeHidden();
  } finally {
    hub.close();
  }
});
