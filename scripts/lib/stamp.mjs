/**
 * Tells whether a build is stale: a stamp beside the output holds the hash of everything that went into it. Modification
 * times are not used, since a fresh clone or a branch switch changes them without changing a byte.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { root } from './paths.mjs';

const skipped = /(\.test\.ts|\.md|\.DS_Store|~)$/;

function* filesUnder(path) {
  if (!existsSync(path)) return;
  const entries = readdirSync(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue;
    const child = join(path, entry.name);
    if (entry.isDirectory()) yield* filesUnder(child);
    else if (entry.isFile() && !skipped.test(entry.name)) yield child;
  }
}

/** Hash of files and folders given relative to the repository, names and contents. */
export function hashOf(inputs, base = root) {
  const hash = createHash('sha256');
  for (const input of inputs) {
    const path = join(base, input);
    const files = existsSync(path) && !/\.\w+$/.test(input) ? filesUnder(path) : existsSync(path) ? [path] : [];
    for (const file of files) {
      const bytes = readFileSync(file);
      hash.update(`${relative(base, file)}\0${bytes.length}\0`).update(bytes);
    }
  }
  return hash.digest('hex');
}

export function isFresh(stamp, hash) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
}

export function writeStamp(stamp, hash) {
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}
