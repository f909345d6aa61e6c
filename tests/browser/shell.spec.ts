/** What surrounds the places: the first steps once, the palette, one's own keys, themes, 200 % zoom, forced colours. */
import type { Page } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expectAccessible } from '../e2e-steps.ts';
import { expect, test } from './page.ts';

const places = ['home', 'team', 'traces', 'training', 'models'] as const;

async function ready(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await expect(page.getByRole('link', { name: words.home.open('QD-Answer') })).toBeVisible({ timeout: 60_000 });
}

test('a newcomer is told in three steps, once', async ({ page, address }) => {
  const text = words.home.steps;
  await ready(page, address);
  const steps = page.getByRole('region', { name: text.title });
  for (const [at, { what }] of text.each.entries()) {
    await expect(steps.getByRole('heading', { name: what })).toBeVisible();
    await steps.getByRole('button', { name: at < 2 ? text.next : text.done }).click();
  }
  await expect(steps).toBeHidden();
  await page.reload();
  await ready(page, address);
  await expect(steps).toBeHidden();
});

test('the palette finds actions and nodes, by keyboard alone', async ({ page, address }) => {
  await ready(page, address);
  await page.keyboard.press('Control+k');
  await page.keyboard.type('qd-answer');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/#\/team\/qd-answer$/);
  await expect(page.getByRole('tree')).toBeVisible();
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: words.palette.title }).fill('search');
  const node = page.getByRole('option').filter({ hasText: words.palette.kinds.node }).first();
  await expect(node).toBeVisible();
  await expectAccessible(page, 'the palette');
  await node.click();
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: words.palette.title }).fill(words.shortcuts.actions.tidy);
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog')).toBeHidden();
});

test('a shortcut takes other keys, refuses those in use, keeps them, and is put back', async ({ page, address }) => {
  const text = words.shortcuts;
  await ready(page, address);
  await page.keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: text.title });
  await dialog.getByRole('button', { name: text.change(text.actions['go-models']) }).click();
  await page.keyboard.press('Control+k');
  await expect(dialog.getByText(text.taken('Ctrl K', text.actions.palette))).toBeVisible();
  await page.keyboard.press('Control+Shift+m');
  await expect(dialog.getByText(text.changed(text.actions['go-models'], 'Ctrl Shift M'))).toBeVisible();
  await expectAccessible(page, 'the shortcuts');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await page.reload();
  await ready(page, address);
  await page.keyboard.press('Alt+5');
  await expect(page).not.toHaveURL(/#\/models$/);
  await page.keyboard.press('Control+Shift+m');
  await expect(page).toHaveURL(/#\/models$/);
  await page.keyboard.press('?');
  await dialog.getByRole('button', { name: text.resetAll }).click();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Alt+1');
  await page.keyboard.press('Alt+5');
  await expect(page).toHaveURL(/#\/models$/);
});

test('the theme follows the system until one is chosen', async ({ page, address }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await ready(page, address);
  const theme = (): Promise<string | undefined> => page.evaluate(() => document.documentElement.dataset.theme);
  expect(await theme()).toBe('light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await expect.poll(theme).toBe('dark');
  await page.getByRole('button', { name: words.header.themes.system }).click();
  await page.getByRole('button', { name: words.header.themes.dark }).click();
  await expect.poll(theme).toBe('light');
  await page.reload();
  await expect.poll(theme).toBe('light');
});

test('at 200 % zoom every place fits its width, and in forced colours axe finds nothing', async ({
  browser,
  address,
}) => {
  const context = await browser.newContext({ viewport: { width: 720, height: 450 }, deviceScaleFactor: 2 });
  const page = await context.newPage();
  await ready(page, address);
  for (const place of places) {
    await page.goto(`${address}#/${place}`);
    await expect(page.getByRole('main')).toBeVisible();
    await page.waitForTimeout(300);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide, place).toBeLessThanOrEqual(0);
    await expectAccessible(page, `${place} at 200 %`);
  }
  await page.emulateMedia({ forcedColors: 'active' });
  for (const place of places) {
    await page.goto(`${address}#/${place}`);
    await page.waitForTimeout(200);
    await expectAccessible(page, `${place} in forced colours`);
  }
  await context.close();
});

test('nothing moves once it is there: not while a place is read, and not while a run is watched', async ({
  page,
  address,
}) => {
  test.setTimeout(300_000);
  await page.addInitScript(() => {
    const shifts: { value: number; what: string }[] = [];
    Object.assign(window, { shifts });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & {
        value: number;
        hadRecentInput: boolean;
        sources: { node: Element | null }[];
      })[])
        if (!entry.hadRecentInput)
          shifts.push({ value: entry.value, what: entry.sources.map(({ node }) => node?.className ?? '?').join(', ') });
    }).observe({ type: 'layout-shift', buffered: true });
  });
  const moved = async (where: string): Promise<void> => {
    const shifts = await page.evaluate(
      () => (window as unknown as { shifts: { value: number; what: string }[] }).shifts,
    );
    const sum = shifts.reduce((all, { value }) => all + value, 0);
    expect(sum, `${where}: ${JSON.stringify(shifts)}`).toBeLessThan(0.02);
  };
  for (const place of places) {
    await page.goto('about:blank');
    await page.goto(`${address}#/${place}`);
    await expect(page.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
    await page.waitForTimeout(1_500);
    await moved(place);
  }
  await page.goto('about:blank');
  await ready(page, address);
  await page.getByRole('button', { name: words.home.first }).click();
  await expect(page.getByText(/^step [3-9] of/).first()).toBeVisible({ timeout: 200_000 });
  await moved('a run under way');
});
