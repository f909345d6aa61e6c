/**
 * The shortcut table as this person has it: the built-in one with their own keys in place. Keys are taken only where no other
 * action of the same place has them. What is remembered is checked like anything from outside.
 */
import { pressed, shortcuts, type KeyPress, type Shortcut, type ShortcutAction } from './shortcuts.ts';

export type OwnKeys = Readonly<Partial<Record<ShortcutAction, string>>>;

const modifiers = new Set([
  'Control',
  'Shift',
  'Alt',
  'Meta',
  'AltGraph',
  'CapsLock',
  'Dead',
  'Process',
  'Unidentified',
]);
/** What moves the focus, leaves a dialog or presses a button stays with the browser. */
const reserved = new Set(['Tab', 'shift+Tab', 'Escape', 'Enter', ' ']);

export function isOwnKeys(value: unknown): value is OwnKeys {
  return (
    value !== null &&
    typeof value === 'object' &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([action, keys]) =>
        shortcuts.some((one) => one.action === action) && typeof keys === 'string' && keys.length < 40,
    )
  );
}

export function keymap(own: OwnKeys): readonly Shortcut[] {
  return shortcuts.map((shortcut) => {
    const keys = own[shortcut.action];
    return keys === undefined ? shortcut : { ...shortcut, keys: [keys] };
  });
}

/** What a key press would be written as; null for a modifier alone, or keys that cannot be given away. */
export function keysToBind(event: KeyPress, mac: boolean): string | null {
  const keys = pressed(event, mac);
  return modifiers.has(event.key) || reserved.has(keys) ? null : keys;
}

/** The action that has these keys already where `action` would want them. */
export function holderOf(table: readonly Shortcut[], action: ShortcutAction, keys: string): ShortcutAction | null {
  const where = shortcuts.find((one) => one.action === action)?.where ?? null;
  const overlaps = (one: Shortcut): boolean => one.where === null || where === null || one.where === where;
  return table.find((one) => one.action !== action && one.keys.includes(keys) && overlaps(one))?.action ?? null;
}
