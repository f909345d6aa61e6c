/** The team files opened last, newest first, in one small file; a damaged one reads as none. */
import { readFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const most = 10;

export function withRecent(recent: readonly string[], path: string): string[] {
  return [path, ...recent.filter((other) => other !== path)].slice(0, most);
}

export function parseRecent(text: string): string[] {
  try {
    const saved: unknown = JSON.parse(text);
    if (!Array.isArray(saved)) return [];
    return saved.filter((path): path is string => typeof path === 'string' && path.length < 4_096).slice(0, most);
  } catch {
    return [];
  }
}

export function readRecent(file: string): string[] {
  try {
    return parseRecent(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}

export async function writeRecent(file: string, recent: readonly string[]): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.tmp`, JSON.stringify(recent));
  await rename(`${file}.tmp`, file);
}
