/** A page's downloads: they are done by a worker of their own. */
import { webWire } from '../../engine/client.ts';
import { connect } from '../../engine/wire.ts';
import type { DownloadApi } from '../protocol.ts';
import { downloadCalls, type Downloaded } from './downloads.port.ts';

export function downloadsOfPage(onDownload: Downloaded['onDownload']): DownloadApi {
  const worker = new Worker(new URL('./downloads.web.ts', import.meta.url), { type: 'module' });
  const remote = connect<DownloadApi, Downloaded>(webWire(worker), { onDownload }, []);
  worker.addEventListener('error', () => remote.$close(new Error('the worker that downloads models did not start')));
  return Object.fromEntries(
    downloadCalls.map((name) => [name, (...args: unknown[]) => remote.$call(name, ...(args as never))]),
  ) as unknown as DownloadApi;
}
