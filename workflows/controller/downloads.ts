/** Models from an endpoint, where this place can fetch them; where it cannot, a sentence says which place can. */
import { UserError } from '../../engine/errors.ts';
import type { ControllerEvents, DownloadApi } from '../protocol.ts';
import type { Host } from './host.ts';

export function openDownloadApi(host: Host, onDownload: ControllerEvents['onDownload']): DownloadApi {
  const here = host.downloads?.(onDownload);
  if (here) return here;
  const elsewhere = (): never => {
    throw new UserError(
      'A page downloads no models; use the desktop window, or the terminal: troupe models download NAME',
    );
  };
  return {
    downloads: async () => null,
    download: async () => elsewhere(),
    pauseDownload: async () => elsewhere(),
    resumeDownload: async () => elsewhere(),
    cancelDownload: async () => elsewhere(),
  };
}
