/**
 * The hidden window whose workers are the controller and the engine. It is never throttled, and closing or reloading a
 * visible window leaves it alone. The main process serves it the workspace folder and is itself one of its clients, to
 * learn what runs and to pause it before the program ends.
 */
import { BrowserWindow, ipcMain, MessageChannelMain, type MessagePortMain } from 'electron';
import type { Wire } from '../engine/wire.ts';
import { connectController } from '../workflows/controller-client.ts';
import type { ControllerApi, ControllerEvents, DownloadApi } from '../workflows/protocol.ts';
import { serveServices, type Services } from '../workflows/run/services.port.ts';
import { unheard } from '../workflows/unheard.ts';
import { serveStore } from '../workflows/workspace/store.port.ts';
import type { Store } from '../workflows/workspace/store.ts';
import { origin } from './pages.ts';
import { isFrom, webPreferences } from './security.ts';

export type HostWindow = {
  /** Gives the controller a screen's port. */
  addClient(port: MessagePortMain): void;
  controller: ControllerApi;
  window: BrowserWindow;
};

function wireOf(port: MessagePortMain): Wire {
  return {
    post: (message) => port.postMessage(message),
    listen: (receive) => {
      port.on('message', (event) => receive(event.data));
      port.start();
    },
  };
}

/** What the main process answers for the controller: the folder, services elsewhere, models on their way here. */
type HostPlaces = {
  store: Store;
  services: Services;
  openDownloads: (onDownload: ControllerEvents['onDownload']) => DownloadApi;
};

export async function openHostWindow(
  preload: string,
  { store, services, openDownloads }: HostPlaces,
  onFailure: (reason: string) => void,
): Promise<HostWindow> {
  const window = new BrowserWindow({
    show: false,
    width: 320,
    height: 200,
    skipTaskbar: true,
    webPreferences: { ...webPreferences(preload), backgroundThrottling: false },
  });
  const ready = new Promise<void>((settle) => {
    ipcMain.on('troupe-host-ready', (event) => {
      if (isFrom(event, window.webContents)) settle();
    });
  });
  ipcMain.on('troupe-host-failed', (event, reason: unknown) => {
    if (isFrom(event, window.webContents)) onFailure(String(reason));
  });
  window.webContents.on('render-process-gone', (_event, details) =>
    onFailure(`the engine's process ended: ${details.reason}`),
  );
  await window.loadURL(`${origin}/host.html`);
  await ready;

  const send = (type: 'troupe-store' | 'troupe-client', ...ports: MessagePortMain[]): void =>
    window.webContents.postMessage(type, null, ports);
  const storage = new MessageChannelMain();
  serveStore(store, wireOf(storage.port1), openDownloads);
  const elsewhere = new MessageChannelMain();
  serveServices(services, wireOf(elsewhere.port1));
  send('troupe-store', storage.port2, elsewhere.port2);
  const own = new MessageChannelMain();
  send('troupe-client', own.port2);
  return {
    window,
    addClient: (port) => send('troupe-client', port),
    controller: connectController(wireOf(own.port1), unheard),
  };
}
