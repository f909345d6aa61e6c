import { describe, expect, it } from 'vitest';
import { holderOf, isOwnKeys, keymap, keysToBind } from './keymap.ts';
import { shortcutFor, shortcuts, type KeyPress } from './shortcuts.ts';

const press = (key: string, more: Partial<KeyPress> = {}): KeyPress => ({
  key,
  code: '',
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  shiftKey: false,
  ...more,
});

describe('own keys', () => {
  it('take the place of the built-in ones', () => {
    const table = keymap({ tidy: 'mod+e', palette: 'mod+p' });
    expect(shortcutFor(press('e', { ctrlKey: true }), 'team', false, false, table)).toBe('tidy');
    expect(shortcutFor(press('t'), 'team', false, false, table)).toBeNull();
    expect(shortcutFor(press('p', { ctrlKey: true }), 'home', true, false, table)).toBe('palette');
    expect(shortcutFor(press('k', { ctrlKey: true }), 'home', false, false, table)).toBeNull();
    expect(shortcutFor(press('s', { ctrlKey: true }), 'team', false, false, table)).toBe('save');
  });
  it('are refused where another action of the same place has them', () => {
    expect(holderOf(shortcuts, 'tidy', 'a')).toBe('add-node');
    expect(holderOf(shortcuts, 'tidy', 'mod+k')).toBe('palette');
    expect(holderOf(shortcuts, 'palette', 'a')).toBe('add-node');
    expect(holderOf(shortcuts, 'tidy', 'ArrowLeft')).toBeNull();
    expect(holderOf(shortcuts, 'tidy', 't')).toBeNull();
    expect(holderOf(keymap({ 'add-node': 'n' }), 'tidy', 'a')).toBeNull();
  });
  it('are no modifier alone and nothing the browser needs', () => {
    expect(keysToBind(press('Shift', { shiftKey: true }), false)).toBeNull();
    expect(keysToBind(press('Tab'), false)).toBeNull();
    expect(keysToBind(press('Escape'), false)).toBeNull();
    expect(keysToBind(press('E', { ctrlKey: true, shiftKey: true }), false)).toBe('mod+shift+e');
  });
  it('are remembered only when they are keys of actions', () => {
    expect(isOwnKeys({ tidy: 'x' })).toBe(true);
    for (const other of [null, [], 'x', { nothing: 'x' }, { tidy: 7 }, { tidy: 'x'.repeat(50) }])
      expect(isOwnKeys(other)).toBe(false);
  });
});
