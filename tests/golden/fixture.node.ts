/** Golden fixtures by their path. */
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import '../../engine/formats/source.node.ts';
import { readFixture, type Fixture } from './fixture.ts';
import type { RealFixture } from './real.ts';

/** Null where the file is not there. */
export async function openFixture(path: string): Promise<Fixture | null> {
  return existsSync(path) ? readFixture(basename(path), { kind: 'path', path }) : null;
}

/** Null for JSON files that are not about a model. */
export function readRealFixture(path: string): RealFixture | null {
  const json = JSON.parse(readFileSync(path, 'utf8')) as Partial<RealFixture>;
  return typeof json.model === 'string' && Array.isArray(json.cases) ? (json as RealFixture) : null;
}
