/** Downloads that another thread or process does: its calls, and what it tells. */
import type { ControllerEvents, DownloadApi } from '../protocol.ts';

export type Downloaded = Pick<ControllerEvents, 'onDownload'>;

export const downloadCalls = [
  'downloads',
  'download',
  'pauseDownload',
  'resumeDownload',
  'cancelDownload',
] as const satisfies (keyof DownloadApi)[];
