/** Where the shared fixtures and data lie for tests; absent ones are skipped by name. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { openSource } from './source.ts';
import './source.node.ts';
import type { ByteSource } from './bytes-source.ts';

export const SHARED = process.env['TROUPE_SHARED'] ?? resolve(import.meta.dirname, '../../../shared');
export const FIXTURES = `${SHARED}/fixtures`;
export const MODELS = `${SHARED}/data/models`;

/** The part of a test's title that says what it lacked, or null where all is there. */
export function missing(...paths: readonly string[]): string | null {
  const absent = paths.filter((path) => !existsSync(path));
  return absent.length === 0 ? null : `skipped: no ${absent.join(', ')}`;
}

export function openPath(path: string): Promise<ByteSource> {
  return openSource(path.slice(path.lastIndexOf('/') + 1), { kind: 'path', path });
}
