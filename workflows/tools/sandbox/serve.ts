/**
 * The thread's side of a sandbox: loads its language once, says so, then answers one request at a time. What may cross the
 * port is declared here for both sides.
 */
import type { ProgramRequest, Reply } from './program.ts';

/** One loaded language. `interrupt` is memory in which a 2 asks the running program to stop, where the language can. */
export type Runner = {
  readonly interrupt: SharedArrayBuffer | null;
  run(request: ProgramRequest): Reply | Promise<Reply>;
};

export type FromThread =
  | { kind: 'ready'; interrupt: SharedArrayBuffer | null }
  | { kind: 'done'; reply: Reply; ms: number }
  | { kind: 'broken'; reason: string };

export type ThreadPort = {
  post(message: FromThread): void;
  listen(receive: (request: ProgramRequest) => void): void;
};

export function serveRuns(port: ThreadPort, load: () => Promise<Runner>): void {
  const broken = (error: unknown): void =>
    port.post({ kind: 'broken', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  load().then((runner) => {
    port.listen((request) => {
      const started = performance.now();
      Promise.resolve(request)
        .then((each) => runner.run(each))
        .then((reply) => port.post({ kind: 'done', reply, ms: performance.now() - started }), broken);
    });
    port.post({ kind: 'ready', interrupt: runner.interrupt });
  }, broken);
}
