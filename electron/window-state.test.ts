import { describe, expect, it } from 'vitest';
import { parseWindowState } from './window-state.ts';

const displays = [{ x: 0, y: 0, width: 1920, height: 1080 }];

describe('window state', () => {
  it('keeps a place that a display shows', () => {
    const saved = { width: 1200, height: 800, x: 100, y: 50, maximized: true };
    expect(parseWindowState(JSON.stringify(saved), displays)).toEqual(saved);
  });

  it('drops a place that no display shows, and keeps the size', () => {
    const saved = { width: 1200, height: 800, x: 4000, y: 50, maximized: false };
    expect(parseWindowState(JSON.stringify(saved), displays)).toEqual({ width: 1200, height: 800, maximized: false });
  });

  it('enlarges a window too small to use', () => {
    expect(parseWindowState('{"width":10,"height":10}', displays)).toEqual({
      width: 880,
      height: 600,
      maximized: false,
    });
  });

  it.each([null, '', '{', '[]', '7', '{"width":"wide","height":1e99}'])(
    'falls back on the usual place for %s',
    (text) => {
      expect(parseWindowState(text, displays)).toEqual({ width: 1440, height: 920, maximized: false });
    },
  );
});
