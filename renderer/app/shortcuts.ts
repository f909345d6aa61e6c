/**
 * One table of keyboard shortcuts: which keys, which action, where; words.ts says what each does. The handler and the help dialog both read it.
 * `mod` is Ctrl, or Cmd on a Mac. Single letters never fire while someone types.
 */
import type { Screen } from './routes.ts';

export type ShortcutAction =
  | 'palette'
  | 'help'
  | 'undo'
  | 'redo'
  | 'save'
  | `go-${Screen}`
  | 'step-previous'
  | 'step-next'
  | 'step-first'
  | 'step-last';

export type Shortcut = {
  readonly action: ShortcutAction;
  readonly keys: readonly string[];
  readonly where: Screen | null;
};

export const shortcuts: readonly Shortcut[] = [
  { action: 'palette', keys: ['mod+k'], where: null },
  { action: 'help', keys: ['?'], where: null },
  { action: 'go-home', keys: ['alt+1'], where: null },
  { action: 'go-team', keys: ['alt+2'], where: null },
  { action: 'go-traces', keys: ['alt+3'], where: null },
  { action: 'go-training', keys: ['alt+4'], where: null },
  { action: 'go-models', keys: ['alt+5'], where: null },
  { action: 'save', keys: ['mod+s'], where: 'team' },
  { action: 'undo', keys: ['mod+z'], where: 'team' },
  { action: 'redo', keys: ['mod+shift+z', 'mod+y'], where: 'team' },
  { action: 'step-previous', keys: ['ArrowLeft'], where: 'traces' },
  { action: 'step-next', keys: ['ArrowRight'], where: 'traces' },
  { action: 'step-first', keys: ['Home'], where: 'traces' },
  { action: 'step-last', keys: ['End'], where: 'traces' },
];

export type KeyPress = Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'shiftKey'>;

/** Writes a key press as the table writes keys. Digits with Alt are taken from the key's place, since Alt changes the character. */
export function pressed(event: KeyPress, mac: boolean): string {
  const mod = mac ? event.metaKey : event.ctrlKey;
  const digit = event.altKey ? /^Digit(\d)$/.exec(event.code)?.[1] : undefined;
  const key = digit ?? (event.key.length === 1 ? event.key.toLowerCase() : event.key);
  const shift = event.shiftKey && (mod || event.altKey || key.length > 1);
  return [mod && 'mod', event.altKey && 'alt', shift && 'shift', key].filter(Boolean).join('+');
}

/** The action a key press asks for on a screen. `typing`: the focus is where keys have a meaning of their own. */
export function shortcutFor(event: KeyPress, screen: Screen, typing: boolean, mac: boolean): ShortcutAction | null {
  const keys = pressed(event, mac);
  const found = shortcuts.find(
    (shortcut) => shortcut.keys.includes(keys) && (shortcut.where === null || shortcut.where === screen),
  );
  if (!found) return null;
  const needsModifier = /^(mod|alt)\+/.test(keys);
  if (typing && (!needsModifier || found.action === 'undo' || found.action === 'redo')) return null;
  return found.action;
}

/** "mod+shift+z" as the keys a person sees on the keyboard. */
export function keyLabels(keys: string, mac: boolean): string[] {
  const names: Record<string, string> = {
    mod: mac ? '⌘' : 'Ctrl',
    alt: mac ? '⌥' : 'Alt',
    shift: 'Shift',
    ArrowLeft: '←',
    ArrowRight: '→',
  };
  return keys.split('+').map((key) => names[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}

export function isMac(platform = navigator.platform): boolean {
  return /mac|iphone|ipad/i.test(platform);
}

/** Whether keys belong to the focused element: text fields, and widgets that use arrows themselves. */
export function takesKeys(element: Element | null): boolean {
  return (
    element?.closest(
      'input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable=true], [data-own-keys]',
    ) !== null && element !== null
  );
}
