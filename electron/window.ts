/**
 * The visible window: opens where it last stood and hands its page a port to the controller whenever the page asks, so that
 * a reload gets a fresh one. News waits until the page has asked once.
 */
import { BrowserWindow, ipcMain, MessageChannelMain, nativeTheme, screen, type MessagePortMain } from 'electron';
import { NEWS, type News } from '../renderer/app/news.ts';
import { origin } from './pages.ts';
import { isFrom, webPreferences } from './security.ts';
import { readWindowState, smallest, writeWindowState } from './window-state.ts';

const saveAfterMs = 400;

function rememberPlace(window: BrowserWindow, path: string): void {
  let timer: NodeJS.Timeout | undefined;
  const save = (): void => {
    if (!window.isDestroyed())
      void writeWindowState(path, { ...window.getNormalBounds(), maximized: window.isMaximized() }).catch(() => {});
  };
  const later = (): void => {
    clearTimeout(timer);
    timer = setTimeout(save, saveAfterMs);
  };
  window.on('resize', later);
  window.on('move', later);
  window.on('close', save);
  window.on('closed', () => clearTimeout(timer));
}

export type ScreenWindow = { readonly window: BrowserWindow; tell(news: News): void };

export function openWindow(
  preload: string,
  statePath: string,
  addClient: (port: MessagePortMain) => void,
): ScreenWindow {
  const { maximized, ...place } = readWindowState(
    statePath,
    screen.getAllDisplays().map((display) => display.workArea),
  );
  const window = new BrowserWindow({
    ...place,
    minWidth: smallest.width,
    minHeight: smallest.height,
    show: false,
    title: 'Troupe',
    backgroundColor: nativeTheme.shouldUseDarkColors ? '#14161a' : '#f6f7f9',
    webPreferences: webPreferences(preload),
  });
  if (maximized) window.maximize();
  window.once('ready-to-show', () => window.show());
  rememberPlace(window, statePath);

  let listening = false;
  const waiting: News[] = [];
  const tell = (news: News): void => {
    if (listening && !window.isDestroyed()) window.webContents.send(NEWS, news);
    else waiting.push(news);
  };
  const connect = (event: Electron.IpcMainEvent): void => {
    if (window.isDestroyed() || !isFrom(event, window.webContents)) return;
    const { port1, port2 } = new MessageChannelMain();
    addClient(port1);
    window.webContents.postMessage('troupe-port', null, [port2]);
    listening = true;
    for (const news of waiting.splice(0)) tell(news);
  };
  ipcMain.on('troupe-connect', connect);
  window.on('closed', () => ipcMain.off('troupe-connect', connect));
  void window.loadURL(`${origin}/index.html`);
  return { window, tell };
}
