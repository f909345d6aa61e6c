/**
 * What sandboxes need from the place they run in: a thread for each language that can be ended from outside whatever it
 * does. Node and the browser each register theirs when their entry point is imported (`register.node.ts`,
 * `register.web.ts`), so nothing else names a platform.
 */
import type { Language } from './program.ts';

export type SandboxThread = {
  post(message: unknown): void;
  /** `ended` is called at most once, with a reason, when the thread dies by itself. */
  listen(receive: (message: unknown) => void, ended: (reason: string) => void): void;
  /** Whether the thread keeps the process alive; it does only while it works. */
  hold(busy: boolean): void;
  terminate(): void;
};

export type SandboxHost = {
  readonly start: Readonly<Record<Language, () => SandboxThread>>;
  /** Logical processors. */
  readonly cores: number;
};

let host: SandboxHost | null = null;

export function registerSandboxHost(given: SandboxHost): void {
  host = given;
}

export function sandboxHost(): SandboxHost {
  if (!host) throw new Error('no sandbox registered: import sandbox/register.node.ts or register.web.ts first');
  return host;
}
