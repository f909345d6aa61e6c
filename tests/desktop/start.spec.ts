/** `npm start` where there is a display: an Electron window with the workbench opens. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, expect, test } from '@playwright/test';
import { startProgram } from '../program.ts';

test('opens the desktop window and says why', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-start-'));
  const program = startProgram(['scripts/start.mjs', '--', '--remote-debugging-port=0'], {
    TROUPE_WORKSPACE: join(folder, 'workspace'),
    TROUPE_PROFILE: join(folder, 'profile'),
  });
  try {
    await program.printed(/Troupe opens as a desktop window, since there is a display/);
    const [, address] = await program.printed(/DevTools listening on (ws:\S+)/);
    const browser = await chromium.connectOverCDP(address);
    const titles = async (): Promise<string[]> =>
      Promise.all(
        browser
          .contexts()
          .flatMap((context) => context.pages())
          .map((page) => page.title()),
      );
    await expect.poll(titles, { timeout: 30_000 }).toContain('Home · Troupe');
    await browser.close();
  } finally {
    await program.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
