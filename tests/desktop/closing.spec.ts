/** Closing the window while something trains asks first; kept, it trains on; left, it is paused where it was. The window opens where it stood. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ElectronApplication } from '@playwright/test';
import { words } from '../../renderer/words.ts';
import { expect, openDesktop, test } from './window.ts';

const text = words.desktop.closing;

/** Answers the next question with a button, and remembers what was asked. */
function answer(app: ElectronApplication, button: string): Promise<void> {
  return app.evaluate(({ dialog }, wanted) => {
    const asked = (_window: unknown, question: { message: string; buttons: string[] }) => {
      process.env.TROUPE_TEST_ASKED = question.message;
      return Promise.resolve({ response: question.buttons.indexOf(wanted), checkboxChecked: false });
    };
    dialog.showMessageBox = asked as never;
  }, button);
}

const close = (app: ElectronApplication): Promise<void> =>
  app.evaluate(({ BrowserWindow }) =>
    BrowserWindow.getAllWindows()
      .find((one) => one.webContents.getURL().includes('index.html'))!
      .close(),
  );

test('a window that trains asks before it closes, and comes back where it stood', async () => {
  test.setTimeout(600_000);
  const folder = await mkdtemp(join(tmpdir(), 'troupe-closing-'));
  const { app, window, workspace } = await openDesktop(folder);
  const place = { x: 120, y: 90, width: 1_000, height: 700 };
  try {
    await app.evaluate(({ BrowserWindow }, box) => {
      BrowserWindow.getAllWindows()
        .find((one) => one.webContents.getURL().includes('index.html'))!
        .setBounds(box);
    }, place);
    await expect(window.getByRole('contentinfo')).not.toContainText(words.status.noDevice, { timeout: 60_000 });
    await window.getByRole('button', { name: words.home.first }).click();
    await expect(window.getByText(/^step [1-9]\d* of/).first()).toBeVisible({ timeout: 240_000 });

    await answer(app, text.keep);
    await close(app);
    await expect.poll(() => app.evaluate(() => process.env.TROUPE_TEST_ASKED ?? '')).toContain('QD-Answer');
    await window.waitForTimeout(500);
    expect(app.windows()).toHaveLength(2);
    await expect(window.locator('.head .state')).toHaveText(words.job.states.running);

    await answer(app, text.quit);
    const ended = new Promise((settle) => app.process().once('exit', settle));
    await close(app);
    await ended;
    const [run] = await readdir(join(workspace, 'runs'));
    const state = JSON.parse(await readFile(join(workspace, 'runs', run, 'state.json'), 'utf8')) as { state: string };
    expect(state.state).toBe('paused');

    const again = await openDesktop(folder);
    const bounds = await again.app.evaluate(({ BrowserWindow }) =>
      BrowserWindow.getAllWindows()
        .find((one) => one.webContents.getURL().includes('index.html'))!
        .getBounds(),
    );
    expect(bounds).toEqual(place);
    await again.window.getByRole('navigation').getByRole('link', { name: words.nav.training }).click();
    await again.window.getByRole('link', { name: /^QD-Answer/ }).click();
    await expect(again.window.getByText(words.training.paused)).toBeVisible();
    await again.app.close();
  } finally {
    await app.close().catch(() => {});
    await rm(folder, { recursive: true, force: true });
  }
});
