/**
 * The desktop's hidden window: owns the controller's worker (which owns the engine's), so that closing or reloading a
 * visible window disturbs no training. It draws nothing and knows nothing of what passes through the ports.
 *
 * Messages, all through `window.postMessage` between this page and its own preload script:
 *   page → preload   {type: 'troupe-host-ready'}            once, when the page listens
 *   preload → page   {type: 'troupe-store'}   + ports       once: the main process answers Store at the first, Services at the second
 *   preload → page   {type: 'troupe-client'}  + ports[0]    for every visible window that connects or reloads
 *   page → preload   {type: 'troupe-host-failed', reason}   the worker could not start
 */
import { startControllerWorker, type ControllerWorker } from './controller-worker.ts';

let controller: ControllerWorker | null = null;
const waiting: MessagePort[] = [];

function tell(message: object): void {
  window.postMessage(message, location.origin === 'null' ? '*' : location.origin);
}

window.addEventListener('message', (event: MessageEvent) => {
  const port = event.ports[0];
  if (event.source !== window || !port) return;
  if (event.data?.type === 'troupe-store' && !controller) {
    controller = startControllerWorker(event.ports, (reason) => tell({ type: 'troupe-host-failed', reason }));
    for (const client of waiting.splice(0)) controller.connect(client);
  }
  if (event.data?.type === 'troupe-client') {
    if (controller) controller.connect(port);
    else waiting.push(port);
  }
});

tell({ type: 'troupe-host-ready' });
