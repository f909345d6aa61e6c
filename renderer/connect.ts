/**
 * Finds the controller. On the desktop (`app://`) it lives in a hidden window, and the preload script hands this page a
 * port; in a browser this page starts the controller's worker itself. Everything above sees one `MessagePort`.
 *
 * Desktop handshake, so that a reloaded page gets a fresh port: the page posts `{type: 'troupe-connect'}` to its own
 * window, the preload script asks the main process, and posts `{type: 'troupe-port'}` back with one port.
 */
import { startControllerWorker } from './controller-worker.ts';

export type Place = 'desktop' | 'browser';

export function placeOf(protocol: string): Place {
  return protocol === 'app:' ? 'desktop' : 'browser';
}

export function controllerPort(onFailure: (reason: string) => void): Promise<MessagePort> {
  return placeOf(location.protocol) === 'desktop' ? portFromPreload() : Promise.resolve(portFromWorker(onFailure));
}

function portFromWorker(onFailure: (reason: string) => void): MessagePort {
  const { port1, port2 } = new MessageChannel();
  startControllerWorker([], onFailure).connect(port2);
  return port1;
}

function portFromPreload(): Promise<MessagePort> {
  return new Promise((settle) => {
    const receive = (event: MessageEvent): void => {
      if (event.source !== window || event.data?.type !== 'troupe-port' || !event.ports[0]) return;
      window.removeEventListener('message', receive);
      settle(event.ports[0]);
    };
    window.addEventListener('message', receive);
    window.postMessage({ type: 'troupe-connect' }, location.origin === 'null' ? '*' : location.origin);
  });
}
