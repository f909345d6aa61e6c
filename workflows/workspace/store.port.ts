/**
 * What the desktop's main process does for the controller's worker, over one port: the workspace folder as a Store, and
 * models fetched from an endpoint into it.
 */
import { callsOf, connect, type Wire } from '../../engine/wire.ts';
import { downloadCalls, type Downloaded } from '../download/downloads.port.ts';
import type { DownloadApi } from '../protocol.ts';
import type { Store } from './store.ts';

export function serveStore(
  store: Store,
  wire: Wire,
  openDownloads: (onDownload: Downloaded['onDownload']) => DownloadApi,
): void {
  const downloads = openDownloads((download) => void remote.onDownload(download));
  const remote = connect<Downloaded, Store & DownloadApi>(wire, { ...store, ...downloads }, ['onDownload']);
}

const storeCalls = [
  'read',
  'readRange',
  'write',
  'append',
  'extend',
  'list',
  'stat',
  'remove',
  'move',
  'claim',
  'release',
] as const satisfies (keyof Store)[];

export function connectStore(wire: Wire): {
  store: Store;
  downloads(onDownload: Downloaded['onDownload']): DownloadApi;
} {
  let hear: Downloaded['onDownload'] = () => {};
  const remote = connect<Store & DownloadApi, Downloaded>(wire, { onDownload: (download) => hear(download) }, []);
  return {
    store: callsOf<Store>(remote, storeCalls),
    downloads: (onDownload) => {
      hear = onDownload;
      return callsOf<DownloadApi>(remote, downloadCalls);
    },
  };
}
