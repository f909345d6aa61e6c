/**
 * Remembers where the window stood. A place that no display shows any more, or a damaged file, gives the default place.
 */
import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
export type WindowState = {
  readonly width: number;
  readonly height: number;
  readonly x?: number;
  readonly y?: number;
  readonly maximized: boolean;
};

export const smallest = { width: 880, height: 600 } as const;
const usual: WindowState = { width: 1440, height: 920, maximized: false };
const visiblePixels = 80;

function isWhole(value: unknown): value is number {
  return Number.isInteger(value) && Math.abs(value as number) < 100_000;
}

function isShown(box: Box, displays: readonly Box[]): boolean {
  return displays.some((display) => {
    const width = Math.min(box.x + box.width, display.x + display.width) - Math.max(box.x, display.x);
    const height = Math.min(box.y + box.height, display.y + display.height) - Math.max(box.y, display.y);
    return width >= visiblePixels && height >= visiblePixels && box.y >= display.y - 1;
  });
}

/** The state that `text` holds, made fit for the displays there are; sizes in device-independent pixels. */
export function parseWindowState(text: string | null, displays: readonly Box[]): WindowState {
  let saved: Partial<WindowState> | null;
  try {
    saved = JSON.parse(text ?? 'null') as Partial<WindowState> | null;
  } catch {
    return usual;
  }
  if (!saved || typeof saved !== 'object' || !isWhole(saved.width) || !isWhole(saved.height)) return usual;
  const size = {
    width: Math.max(smallest.width, saved.width),
    height: Math.max(smallest.height, saved.height),
    maximized: saved.maximized === true,
  };
  if (!isWhole(saved.x) || !isWhole(saved.y)) return size;
  return isShown({ x: saved.x, y: saved.y, ...size }, displays) ? { ...size, x: saved.x, y: saved.y } : size;
}

export function readWindowState(path: string, displays: readonly Box[]): WindowState {
  try {
    return parseWindowState(readFileSync(path, 'utf8'), displays);
  } catch {
    return usual;
  }
}

export async function writeWindowState(path: string, state: WindowState): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.tmp`, JSON.stringify(state));
  await rename(`${path}.tmp`, path);
}
