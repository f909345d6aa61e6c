/** A Store over a port: the desktop's main process serves its folder, the controller's worker calls it. */
import { connect, type Wire } from '../../engine/wire.ts';
import type { Store } from './store.ts';

export function serveStore(store: Store, wire: Wire): void {
  connect<Record<string, never>, Store>(wire, store, []);
}

const calls = [
  'read',
  'readRange',
  'write',
  'append',
  'list',
  'stat',
  'remove',
  'move',
  'claim',
  'release',
] as const satisfies (keyof Store)[];

export function connectStore(wire: Wire): Store {
  const remote = connect<Store, Record<string, never>>(wire, {}, []);
  return Object.fromEntries(
    calls.map((name) => [name, (...args: unknown[]) => remote.$call(name, ...(args as never))]),
  ) as unknown as Store;
}
