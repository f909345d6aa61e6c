/** The inside of a sandbox thread under Node: answers on the thread's port. */
import { parentPort } from 'node:worker_threads';
import { serveRuns, type Runner } from './serve.ts';

export function serveNodeThread(load: () => Promise<Runner>): void {
  if (!parentPort) throw new Error('a sandbox entry runs in a worker thread; start it with register.node.ts');
  const port = parentPort;
  serveRuns(
    { post: (message) => port.postMessage(message), listen: (receive) => void port.on('message', receive) },
    load,
  );
}
