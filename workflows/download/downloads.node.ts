/** Downloads into a workspace folder on disk, for the terminal and the desktop's main process. */
import { createHash } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import type { DownloadApi } from '../protocol.ts';
import { askFromNode } from './ask.node.ts';
import { openDownloads, type DownloadOptions } from './downloads.ts';

/** `folder` is the workspace's folder on disk, the same as the store's. */
export function openNodeDownloads(
  options: Omit<DownloadOptions, 'ask' | 'free' | 'hash'> & { folder: string },
): DownloadApi {
  const { folder, ...rest } = options;
  return openDownloads({
    ...rest,
    ask: askFromNode,
    free: async () => {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize;
    },
    hash: (kind) => {
      const hash = createHash(kind);
      return { update: (bytes) => hash.update(bytes), hex: () => hash.digest('hex') };
    },
  });
}
