/**
 * Team files on the desktop: opened from the menu, the system or a second start, told to the page as text, and remembered.
 * The page never sees a path.
 */
import { app, dialog, type BrowserWindow } from 'electron';
import { join } from 'node:path';
import { UserError } from '../engine/errors.ts';
import type { News } from '../renderer/app/news.ts';
import { words } from '../renderer/words.ts';
import { setMenu, type MenuCalls } from './menu.ts';
import { readTeamFile } from './open-files.ts';
import { readRecent, withRecent, writeRecent } from './recent.ts';

type Documents = { open(paths: readonly string[]): Promise<void> };

export function openDocuments(
  tell: (news: News) => void,
  window: () => BrowserWindow | null,
  showCrashes: () => void,
): Documents {
  const file = join(app.getPath('userData'), 'recent.json');
  let recent = readRecent(file);

  const remember = async (next: string[]): Promise<void> => {
    recent = next;
    setMenu(calls, recent);
    await writeRecent(file, recent).catch(() => {});
  };
  const open = async (paths: readonly string[]): Promise<void> => {
    for (const path of paths) {
      try {
        tell({ kind: 'team', ...(await readTeamFile(path)) });
        app.addRecentDocument(path);
        await remember(withRecent(recent, path));
      } catch (failure) {
        if (!(failure instanceof UserError)) throw failure;
        tell({ kind: 'notice', level: 'error', text: failure.message });
        await remember(recent.filter((other) => other !== path));
      }
    }
  };
  const choose = async (): Promise<void> => {
    const shown = window();
    if (!shown) return;
    const { filePaths } = await dialog.showOpenDialog(shown, {
      title: words.desktop.files.dialog,
      filters: [{ name: words.desktop.files.kind, extensions: ['json'] }],
      properties: ['openFile', 'multiSelections'],
    });
    await open(filePaths);
  };
  const calls: MenuCalls = {
    command: (action) => tell({ kind: 'command', action }),
    open: () => void choose(),
    openPath: (path) => void open([path]),
    clearRecent: () => {
      app.clearRecentDocuments();
      void remember([]);
    },
    showCrashes,
  };
  setMenu(calls, recent);
  return { open };
}
