/**
 * One table of keyboard shortcuts: which keys, which action, where; the words say what each does. The handler
 * and the help dialog both read it, with a person's own keys in place (keymap.ts).
 * `mod` is Ctrl, or Cmd on a Mac. Single letters never fire while someone types.
 */
import type { Screen } from './routes.ts';

export type ShortcutAction =
  | 'palette'
  | 'help'
  | 'undo'
  | 'redo'
  | 'save'
  | 'new-team'
  | `go-${Screen}`
  | 'add-node'
  | 'connect'
  | 'delete-node'
  | 'rename-node'
  | 'duplicate'
  | 'copy'
  | 'cut'
  | 'paste'
  | 'select-all'
  | 'group'
  | 'ungroup'
  | 'tidy'
  | 'pin-result'
  | 'fit-view'
  | 'fit-selection'
  | 'zoom-in'
  | 'zoom-out'
  | `move-${'left' | 'right' | 'up' | 'down'}`
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
  { action: 'new-team', keys: ['alt+n'], where: null },
  { action: 'save', keys: ['mod+s'], where: 'team' },
  { action: 'undo', keys: ['mod+z'], where: 'team' },
  { action: 'redo', keys: ['mod+shift+z', 'mod+y'], where: 'team' },
  { action: 'add-node', keys: ['a'], where: 'team' },
  { action: 'connect', keys: ['c'], where: 'team' },
  { action: 'delete-node', keys: ['Delete', 'Backspace'], where: 'team' },
  { action: 'rename-node', keys: ['F2'], where: 'team' },
  { action: 'duplicate', keys: ['mod+d'], where: 'team' },
  { action: 'copy', keys: ['mod+c'], where: 'team' },
  { action: 'cut', keys: ['mod+x'], where: 'team' },
  { action: 'paste', keys: ['mod+v'], where: 'team' },
  { action: 'select-all', keys: ['mod+a'], where: 'team' },
  { action: 'group', keys: ['mod+g'], where: 'team' },
  { action: 'ungroup', keys: ['mod+shift+g'], where: 'team' },
  { action: 'tidy', keys: ['t'], where: 'team' },
  { action: 'fit-view', keys: ['f'], where: 'team' },
  { action: 'fit-selection', keys: ['s'], where: 'team' },
  { action: 'zoom-in', keys: ['+', '='], where: 'team' },
  { action: 'zoom-out', keys: ['-'], where: 'team' },
  { action: 'pin-result', keys: ['p'], where: 'team' },
  { action: 'move-left', keys: ['shift+ArrowLeft'], where: 'team' },
  { action: 'move-right', keys: ['shift+ArrowRight'], where: 'team' },
  { action: 'move-up', keys: ['shift+ArrowUp'], where: 'team' },
  { action: 'move-down', keys: ['shift+ArrowDown'], where: 'team' },
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

/** Whose keys they are: nobody's, a text field's, or a text field's whose undo is the team's own. */
export type Typing = boolean | 'document';

/** The action a key press asks for on a screen. `typing`: the focus is where keys have a meaning of their own. */
export function shortcutFor(
  event: KeyPress,
  screen: Screen,
  typing: Typing,
  mac: boolean,
  table: readonly Shortcut[] = shortcuts,
): ShortcutAction | null {
  const keys = pressed(event, mac);
  const found = table.find(
    (shortcut) => shortcut.keys.includes(keys) && (shortcut.where === null || shortcut.where === screen),
  );
  if (!found) return null;
  if (!typing) return found.action;
  if (found.action === 'undo' || found.action === 'redo') return typing === 'document' ? found.action : null;
  const everywhere = found.where === null || found.action === 'save';
  return everywhere && /^(mod|alt)\+/.test(keys) ? found.action : null;
}

/** "mod+shift+z" as the keys a person sees on the keyboard. */
export function keyLabels(keys: string, mac: boolean): string[] {
  const names: Record<string, string> = {
    mod: mac ? '⌘' : 'Ctrl',
    alt: mac ? '⌥' : 'Alt',
    shift: 'Shift',
    ArrowLeft: '←',
    ArrowRight: '→',
    ArrowUp: '↑',
    ArrowDown: '↓',
  };
  return keys.split(/\+(?=.)/).map((key) => names[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}

export function isMac(platform = navigator.platform): boolean {
  return /mac|iphone|ipad/i.test(platform);
}

/** Whether keys belong to the focused element: text fields, and widgets that use arrows themselves. */
export function takesKeys(element: Element | null): Typing {
  const taker = element?.closest(
    'input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable=true], [data-own-keys]',
  );
  if (!taker) return false;
  return taker.closest('[data-document]') ? 'document' : true;
}
