/** Where screens say what a shortcut does while they are shown. The latest one to say so wins; leaving takes it back. */
import { getContext, setContext } from 'svelte';
import type { ShortcutAction } from './shortcuts.ts';

type Handler = () => void;

export class Commands {
  readonly #handlers = new Map<ShortcutAction, Handler[]>();

  /** Returns the way to take the handler back; fits as the return value of an effect. */
  on(action: ShortcutAction, handler: Handler): () => void {
    const handlers = this.#handlers.get(action) ?? [];
    this.#handlers.set(action, [...handlers, handler]);
    return () =>
      this.#handlers.set(
        action,
        (this.#handlers.get(action) ?? []).filter((one) => one !== handler),
      );
  }

  /** True when somebody answered. */
  call(action: ShortcutAction): boolean {
    const handler = this.#handlers.get(action)?.at(-1);
    handler?.();
    return handler !== undefined;
  }
}

const key = Symbol('commands');

export function provideCommands(commands: Commands): void {
  setContext(key, commands);
}

export function useCommands(): Commands {
  return getContext<Commands>(key);
}
