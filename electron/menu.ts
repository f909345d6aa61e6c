/**
 * The application menu: the standard roles, the team files opened last, and commands that the page answers as if their
 * shortcut were pressed. Only opening a file has a key here; the page's own keys can be changed there.
 */
import { app, Menu, type MenuItemConstructorOptions } from 'electron';
import { basename } from 'node:path';
import type { News } from '../renderer/app/news.ts';
import { words } from '../renderer/words.ts';

export type MenuCalls = {
  readonly command: (action: Extract<News, { kind: 'command' }>['action']) => void;
  readonly open: () => void;
  readonly openPath: (path: string) => void;
  readonly clearRecent: () => void;
  readonly showCrashes: () => void;
};

const text = words.desktop.menu;
const screens = ['home', 'team', 'traces', 'training', 'models'] as const;

export function setMenu(calls: MenuCalls, recent: readonly string[]): void {
  const mac = process.platform === 'darwin';
  const template: MenuItemConstructorOptions[] = [
    ...(mac ? [{ role: 'appMenu' } as const] : []),
    {
      label: text.file,
      submenu: [
        { label: text.newTeam, click: () => calls.command('new-team') },
        { label: text.open, accelerator: 'CmdOrCtrl+O', click: calls.open },
        { label: text.recent, submenu: recentItems(calls, recent) },
        { type: 'separator' },
        { label: text.save, click: () => calls.command('save') },
        { type: 'separator' },
        mac ? { role: 'close' } : { role: 'quit' },
      ],
    },
    { role: 'editMenu', label: text.edit },
    {
      label: text.view,
      submenu: [
        { role: 'reload' },
        ...(app.isPackaged ? [] : [{ role: 'toggleDevTools' } as const]),
        { type: 'separator' },
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { role: 'togglefullscreen' },
      ],
    },
    {
      label: text.go,
      submenu: [
        { label: words.palette.title, click: () => calls.command('palette') },
        { type: 'separator' },
        ...screens.map((screen) => ({ label: words.nav[screen], click: () => calls.command(`go-${screen}`) })),
      ],
    },
    { role: 'windowMenu', label: text.window },
    {
      role: 'help',
      label: text.help,
      submenu: [
        { label: words.shortcuts.title, click: () => calls.command('help') },
        { label: text.crashes, click: calls.showCrashes },
        { label: text.version(app.getVersion()), enabled: false },
      ],
    },
  ];
  Menu.setApplicationMenu(Menu.buildFromTemplate(template));
}

function recentItems(calls: MenuCalls, recent: readonly string[]): MenuItemConstructorOptions[] {
  if (recent.length === 0) return [{ label: text.noRecent, enabled: false }];
  return [
    ...recent.map((path) => ({ label: basename(path), toolTip: path, click: () => calls.openPath(path) })),
    { type: 'separator' },
    { label: text.clearRecent, click: calls.clearRecent },
  ];
}
