/** Axe in every place and main state of the workbench, light and dark: those of the gallery. */
import { expectAccessible } from '../e2e-steps.ts';
import { shotsAfter } from '../gallery/shots.ts';
import { test } from './page.ts';

test('axe finds nothing in any state of any place, light or dark', async ({ page, address }) => {
  test.setTimeout(900_000);
  await page.goto(address);
  for (const { name, set } of shotsAfter(3))
    await test.step(name, async () => {
      await set(page);
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.waitForTimeout(300);
        await expectAccessible(page, `${name}, ${colorScheme}`);
      }
    });
});
