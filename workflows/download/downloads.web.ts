/**
 * Downloads into the browser's private file system, in a worker of their own: it is the only one that the page's
 * content-security policy lets reach other hosts.
 */
import { sha1 } from '@noble/hashes/legacy';
import { sha256 } from '@noble/hashes/sha2';
import { bytesToHex } from '@noble/hashes/utils';
import { webWire } from '../../engine/client.ts';
import { connect } from '../../engine/wire.ts';
import type { DownloadApi } from '../protocol.ts';
import { openOpfsStore } from '../workspace/store.opfs.ts';
import { askFromPage } from './ask.web.ts';
import { openDownloads } from './downloads.ts';
import { downloadCalls, type Downloaded } from './downloads.port.ts';

const opened = openOpfsStore().then((store) =>
  openDownloads({
    store,
    ask: askFromPage,
    free: async () => {
      const { quota = 0, usage = 0 } = await navigator.storage.estimate();
      return quota - usage;
    },
    hash: (kind) => {
      const hash = (kind === 'sha1' ? sha1 : sha256).create();
      return { update: (bytes) => hash.update(bytes), hex: () => bytesToHex(hash.digest()) };
    },
    onDownload: (download) => void remote.onDownload(download),
  }),
);

const served = Object.fromEntries(
  downloadCalls.map((name) => [
    name,
    async (...args: never[]) => ((await opened)[name] as (...args: never[]) => unknown)(...args),
  ]),
) as unknown as DownloadApi;
const remote = connect<Downloaded, DownloadApi>(webWire(self as unknown as Worker), served, ['onDownload']);
