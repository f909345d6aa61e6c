import { describe, expect, it } from 'vitest';
import { keyLabels, pressed, shortcutFor, shortcuts, type KeyPress } from './shortcuts.ts';

function press(key: string, more: Partial<KeyPress> = {}): KeyPress {
  return { key, code: '', ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more };
}

describe('shortcuts', () => {
  it('have no keys twice on one screen', () => {
    const seen = shortcuts.flatMap((shortcut) => shortcut.keys.map((keys) => `${keys} ${shortcut.where ?? ''}`));
    expect(new Set(seen).size).toBe(seen.length);
  });
  it('take Cmd on a Mac and Ctrl elsewhere', () => {
    expect(shortcutFor(press('k', { ctrlKey: true }), 'home', true, false)).toBe('palette');
    expect(shortcutFor(press('k', { metaKey: true }), 'home', true, true)).toBe('palette');
    expect(shortcutFor(press('k', { ctrlKey: true }), 'home', false, true)).toBeNull();
  });
  it('leave plain keys and undo to the field someone types in', () => {
    expect(shortcutFor(press('?', { shiftKey: true }), 'home', false, false)).toBe('help');
    expect(shortcutFor(press('?', { shiftKey: true }), 'home', true, false)).toBeNull();
    expect(shortcutFor(press('z', { ctrlKey: true }), 'team', true, false)).toBeNull();
    expect(shortcutFor(press('Z', { ctrlKey: true, shiftKey: true }), 'team', false, false)).toBe('redo');
  });
  it('hold only where they belong', () => {
    expect(shortcutFor(press('ArrowRight'), 'traces', false, false)).toBe('step-next');
    expect(shortcutFor(press('ArrowRight'), 'home', false, false)).toBeNull();
  });
  it('read digits with Alt by their place', () => {
    expect(pressed(press('¡', { code: 'Digit1', altKey: true }), true)).toBe('alt+1');
    expect(keyLabels('mod+shift+z', false)).toEqual(['Ctrl', 'Shift', 'Z']);
  });
  it('are shown as on the keyboard, a plus too', () => {
    expect(keyLabels('+', false)).toEqual(['+']);
    expect(keyLabels('mod++', false)).toEqual(['Ctrl', '+']);
  });
});
