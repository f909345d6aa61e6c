/**
 * Starts an engine in a worker thread under Node. From source the worker is TypeScript, which Node 20 cannot read: then
 * the thread first registers tsx, the loader that our scripts run with. From a bundle it is plain JavaScript.
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import { connectEngine } from './client.ts';
import type { EngineApi, EngineEvents } from './protocol.ts';

export type NodeEngine = { readonly engine: EngineApi; close(): Promise<void> };

export async function startNodeEngine(events: EngineEvents): Promise<NodeEngine> {
  const worker = startWorker();
  const engine = connectEngine(
    {
      post: (message, transfer) => worker.postMessage(message, transfer),
      listen: (receive) => void worker.on('message', receive),
    },
    events,
  );
  let closing = false;
  const ended = (reason: string): void => {
    engine.disconnect(reason);
    if (!closing) events.onDeviceLost({ reason });
  };
  worker.on('error', (error) => ended(`the engine stopped: ${error instanceof Error ? error.message : String(error)}`));
  worker.on('exit', (code) => ended(`the engine ended with code ${code}`));
  return {
    engine,
    close: async () => {
      closing = true;
      await engine.close().catch(() => {});
      await worker.terminate();
    },
  };
}

function startWorker(): Worker {
  const source = import.meta.url.endsWith('.ts');
  const entry = new URL(source ? './worker.node.ts' : './worker.node.js', import.meta.url);
  if (!source) return new Worker(entry, { env: SHARE_ENV });
  const tsx = import.meta.resolve('tsx/esm/api');
  const shim = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(entry.href)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(shim)}`), { execArgv: [], env: SHARE_ENV });
}
