/** A page's downloads: they are done by a worker of their own. */
import { webWire } from '../../engine/client.ts';
import { callsOf, connect } from '../../engine/wire.ts';
import type { DownloadApi } from '../protocol.ts';
import { downloadCalls, type Downloaded } from './downloads.port.ts';

export function downloadsOfPage(onDownload: Downloaded['onDownload']): DownloadApi {
  const worker = new Worker(new URL('./downloads.web.ts', import.meta.url), { type: 'module' });
  const remote = connect<DownloadApi, Downloaded>(webWire(worker), { onDownload }, []);
  worker.addEventListener('error', () => remote.$close(new Error('the worker that downloads models did not start')));
  return callsOf<DownloadApi>(remote, downloadCalls);
}
