/** A Store over a port: the desktop's main process serves its folder, the controller's worker calls it. */
import { createBirpc } from 'birpc';
import type { Store } from './store.ts';

/** The part of a MessagePort both a browser's and Electron's have, once wrapped. */
export type Wire = { post(data: unknown): void; on(receive: (data: unknown) => void): void };

export function wireOf(port: MessagePort): Wire {
  return {
    post: (data) => port.postMessage(data),
    on: (receive) => {
      port.addEventListener('message', (event) => receive(event.data));
      port.start();
    },
  };
}

export function serveStore(store: Store, wire: Wire): void {
  createBirpc<Record<string, never>, Store>(store, { post: wire.post, on: wire.on });
}

export function connectStore(wire: Wire): Store {
  const remote = createBirpc<Store>({}, { post: wire.post, on: wire.on, timeout: -1 });
  return {
    read: (path) => remote.read(path),
    readRange: (path, offset, length) => remote.readRange(path, offset, length),
    write: (path, bytes) => remote.write(path, bytes),
    append: (path, line) => remote.append(path, line),
    list: (path) => remote.list(path),
    stat: (path) => remote.stat(path),
    remove: (path) => remote.remove(path),
    move: (from, to) => remote.move(from, to),
  };
}
