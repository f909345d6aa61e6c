/** The team editor in the desktop window: drawn with the mouse and with the keyboard, and killed in mid-edit. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ElectronApplication } from '@playwright/test';
import { drawWithTheMouse, openTeam, pressExport, type Exported, type Exporting } from '../drawing-steps.ts';
import { drawWithTheKeyboard, killedInMidEdit } from '../keyboard-steps.ts';
import { expect, killed, openDesktop, test } from './window.ts';

/** What is saved from the window goes to a file of the test, without a dialog. */
function exportedBy(app: ElectronApplication, folder: string): Exporting {
  let saved = 0;
  return async (page) => {
    const file = join(folder, `exported-${Date.now()}-${saved++}.json`);
    await app.evaluate(({ BrowserWindow }, to) => {
      const [{ webContents }] = BrowserWindow.getAllWindows();
      webContents.session.once('will-download', (_, item) => item.setSavePath(to));
    }, file);
    await pressExport(page);
    const read = async (): Promise<Exported | null> =>
      readFile(file, 'utf8').then(
        (text) => JSON.parse(text) as Exported,
        () => null,
      );
    await expect.poll(read, { timeout: 30_000 }).not.toBeNull();
    return (await read())!;
  };
}

test('QD-Answer is drawn with the mouse, saved, and answers a question', async ({ desktop: { window } }) => {
  const problems: string[] = [];
  window.on('pageerror', (error) => problems.push(error.message));
  await openTeam(window);
  await drawWithTheMouse(window);
  expect(problems).toEqual([]);
});

test('QD-Answer is drawn with the keyboard alone; fifty edits are undone and redone; a killed program comes back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-drawing-'));
  const opened = [await openDesktop(folder)];
  try {
    const [{ app, window }] = opened;
    await openTeam(window);
    const drawn = await drawWithTheKeyboard(window, exportedBy(app, folder));
    const exported: Exporting = (page) => exportedBy(opened.at(-1)!.app, folder)(page);
    await killedInMidEdit(window, drawn, exported, async (url) => {
      await killed(app);
      opened.push(await openDesktop(folder));
      await openTeam(opened[1].window, new URL(url).hash.replace('#/team/', ''));
      return opened[1].window;
    });
  } finally {
    await opened.at(-1)?.app.close();
    await rm(folder, { recursive: true, force: true });
  }
});
