/** Import once in a browser's or Electron's worker: sandboxes run in Web Workers of the same origin. */
import { registerSandboxHost, type SandboxThread } from './hosts.ts';

function threadOf(worker: Worker): SandboxThread {
  return {
    post: (message) => worker.postMessage(message),
    listen: (receive, ended) => {
      worker.addEventListener('message', (event) => receive(event.data));
      worker.addEventListener('error', (event) => ended(event.message || 'its worker could not be started'));
    },
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}

registerSandboxHost({
  start: {
    javascript: () => threadOf(new Worker(new URL('./javascript.web.ts', import.meta.url), { type: 'module' })),
    python: () => threadOf(new Worker(new URL('./python.web.ts', import.meta.url), { type: 'module' })),
  },
  cores: navigator.hardwareConcurrency || 1,
});
