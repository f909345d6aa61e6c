/**
 * What pages may not do. Everything is denied unless it is named here: permissions, navigation, new windows, embedded
 * pages, downloads of anything but what the workbench itself made. Messages are taken only from the main frame of a window
 * we made, showing our own page.
 */
import { app, type IpcMainEvent, type Session, type WebContents, type WebPreferences } from 'electron';
import { isOurs } from './pages.ts';

/** Copying text, and telling that a long run ended, are all that a page of ours asks for. */
const granted = new Set(['clipboard-sanitized-write', 'notifications']);

export function denyByDefault(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, answer) =>
    answer(granted.has(permission) && isOurs(contents.getURL())),
  );
  session.setPermissionCheckHandler((_contents, permission, requester) => granted.has(permission) && isOurs(requester));
  session.setDevicePermissionHandler(() => false);
  session.on('will-download', (event, item) => {
    if (!item.getURL().startsWith('blob:app://troupe/')) event.preventDefault();
  });
  session.webRequest.onBeforeRequest((details, answer) => answer({ cancel: !isAllowedRequest(details.url) }));
}

/** Pages fetch nothing from the network; services that play roles are asked by the main process (services.ts). */
function isAllowedRequest(address: string): boolean {
  return (
    isOurs(address) || address.startsWith('blob:app://troupe/') || /^(data|devtools|chrome-extension):/.test(address)
  );
}

export function guardEveryPage(): void {
  app.on('web-contents-created', (_event, contents) => {
    contents.setWindowOpenHandler(() => ({ action: 'deny' }));
    contents.on('will-navigate', (event) => {
      if (!isOurs(event.url)) event.preventDefault();
    });
    contents.on('will-frame-navigate', (event) => {
      if (!event.isMainFrame || !isOurs(event.url)) event.preventDefault();
    });
    contents.on('will-redirect', (event) => event.preventDefault());
    contents.on('will-attach-webview', (event) => event.preventDefault());
  });
}

export function webPreferences(preload: string): WebPreferences {
  return {
    preload,
    sandbox: true,
    contextIsolation: true,
    nodeIntegration: false,
    nodeIntegrationInWorker: false,
    nodeIntegrationInSubFrames: false,
    webSecurity: true,
    allowRunningInsecureContent: false,
    webviewTag: false,
    navigateOnDragDrop: false,
    spellcheck: false,
  };
}

/** True when a message comes from the main frame of `expected`, showing a page of ours. */
export function isFrom(event: IpcMainEvent, expected: WebContents): boolean {
  const frame = event.senderFrame;
  return event.sender === expected && frame !== null && frame === expected.mainFrame && isOurs(frame.url);
}
