/**
 * The preload script's whole work, for either kind of window: known messages go from the page to the main process, known
 * messages with a port come back. Nothing is put on the page's `window`.
 */
import { ipcRenderer } from 'electron';
import { maxReason, pageMessages, shellMessages, type WindowKind } from './ipc.ts';

export function bridge(kind: WindowKind): void {
  const fromPage: readonly string[] = pageMessages[kind];
  window.addEventListener('message', (event: MessageEvent) => {
    if (event.source !== window || event.origin !== location.origin) return;
    const type: unknown = event.data?.type;
    if (typeof type !== 'string' || !fromPage.includes(type)) return;
    const reason: unknown = event.data.reason;
    ipcRenderer.send(type, typeof reason === 'string' ? reason.slice(0, maxReason) : undefined);
  });
  for (const type of shellMessages[kind]) {
    ipcRenderer.on(type, (event, news: unknown) =>
      window.postMessage({ type, ...(news ? { news } : {}) }, location.origin, event.ports as MessagePort[]),
    );
  }
}
