/** Golden fixtures by their path. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import '../../engine/formats/source.node.ts';
import { readFixture, type Fixture } from './fixture.ts';

/** Null where the file is not there. */
export async function openFixture(path: string): Promise<Fixture | null> {
  return existsSync(path) ? readFixture(basename(path), { kind: 'path', path }) : null;
}
