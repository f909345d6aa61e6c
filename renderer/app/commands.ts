/**
 * Where screens say what a shortcut does while they are shown, and what the palette finds there. The latest one to say so
 * wins; leaving takes it back.
 */
import { getContext, setContext } from 'svelte';
import { SvelteSet } from 'svelte/reactivity';
import type { PaletteItem } from './palette.ts';
import type { ShortcutAction } from './shortcuts.ts';

type Handler = () => void;

export class Commands {
  readonly #offers = new SvelteSet<() => PaletteItem[]>();
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

  /** What a screen adds to the palette while it is shown. Returns the way to take it back. */
  offer(items: () => PaletteItem[]): () => void {
    this.#offers.add(items);
    return () => this.#offers.delete(items);
  }

  offered(): PaletteItem[] {
    return [...this.#offers].flatMap((items) => items());
  }

  /** Whether somebody would answer. */
  has(action: ShortcutAction): boolean {
    return (this.#handlers.get(action)?.length ?? 0) > 0;
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
