/** Starts an engine in a Web Worker; the bundler finds the worker by this very expression. */
import { connectEngine } from './client.ts';
import type { EngineApi, EngineEvents } from './protocol.ts';

export type WebEngine = { readonly engine: EngineApi; close(): Promise<void> };

export async function startWebEngine(events: EngineEvents): Promise<WebEngine> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
  const engine = connectEngine(worker, events);
  let closing = false;
  worker.addEventListener('error', (event) => {
    const reason = `the engine stopped: ${event.message || 'its worker could not be started'}`;
    engine.disconnect(reason);
    if (!closing) events.onDeviceLost({ reason });
  });
  return {
    engine,
    close: async () => {
      closing = true;
      await engine.close().catch(() => {});
      worker.terminate();
    },
  };
}
