/**
 * Starts the controller's worker and hands it ports. The first message opens it: `{type: 'open', store, services}` with the
 * ports of the desktop's file store and of the services it asks, where there are any (without them the worker keeps its
 * workspace in the browser's private file system). Each further message `{type: 'client', port}` connects one screen.
 */
export type ControllerWorker = { connect(port: MessagePort): void };

/** `ports` are the desktop's, store and services, or none. */
export function startControllerWorker(
  ports: readonly MessagePort[],
  onFailure: (reason: string) => void,
): ControllerWorker {
  const worker = new Worker(new URL('../workflows/controller.worker.ts', import.meta.url), {
    type: 'module',
    name: 'controller',
  });
  worker.addEventListener('error', (event) => onFailure(event.message || 'the controller could not be started'));
  // The browser keeps what is in its private file system even when the disk grows full, if it is asked to.
  if (ports.length === 0) void navigator.storage?.persist?.();
  const [store, services] = ports as readonly (MessagePort | undefined)[];
  worker.postMessage({ type: 'open', store: store ?? null, services: services ?? null }, [...ports]);
  return { connect: (port) => worker.postMessage({ type: 'client', port }, [port]) };
}
