/**
 * Starts the controller's worker and hands it ports. The first message opens it: `{type: 'open', store?}` with the port of
 * the desktop's file store where there is one (without it the worker keeps its workspace in the browser's private file
 * system). Each further message `{type: 'client', port}` connects one screen.
 */
export type ControllerWorker = { connect(port: MessagePort): void };

export function startControllerWorker(
  store: MessagePort | null,
  onFailure: (reason: string) => void,
): ControllerWorker {
  const worker = new Worker(new URL('../workflows/controller.worker.ts', import.meta.url), {
    type: 'module',
    name: 'controller',
  });
  worker.addEventListener('error', (event) => onFailure(event.message || 'the controller could not be started'));
  worker.postMessage({ type: 'open', store }, store ? [store] : []);
  return { connect: (port) => worker.postMessage({ type: 'client', port }, [port]) };
}
