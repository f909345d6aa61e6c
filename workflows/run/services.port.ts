/**
 * Services and pages elsewhere over a port: the desktop's main process asks them and holds their keys, the controller's worker
 * sends what a team asks. A key goes one way: it can be kept, and no call gives it back.
 */
import { connect, type Wire } from '../../engine/wire.ts';
import type { KeyPlace } from '../protocol.ts';
import type { ReadLimits, WebPage } from '../tools/web.ts';
import type { Network } from './endpoint.ts';

export type Services = Pick<Network, 'post'> & {
  /** Reads a page, as `Web` does, once the person allowed its hosts. */
  readPage(url: string, limits: ReadLimits): Promise<WebPage>;
  /** Where the key of this name for this address is found. */
  keyPlace(url: string, name: string): Promise<KeyPlace>;
  /** Gives a key to the system's own key store. Throws a UserError where it has none. */
  keepKey(url: string, name: string, key: string): Promise<void>;
};

export function serveServices(services: Services, wire: Wire): void {
  connect<Record<string, never>, Services>(wire, services, []);
}

export function connectServices(wire: Wire): Services {
  const remote = connect<Services, Record<string, never>>(wire, {}, []);
  return {
    post: (request) => remote.$call('post', request),
    readPage: (url, limits) => remote.$call('readPage', url, limits),
    keyPlace: (url, name) => remote.$call('keyPlace', url, name),
    keepKey: (url, name, key) => remote.$call('keepKey', url, name, key),
  };
}
