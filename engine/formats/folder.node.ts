/**
 * From a path to a `FileSet` under Node: a folder becomes its regular files, a single file (a GGUF) a set of one.
 * Importing it also makes path references readable.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { FileRef, FileSet } from '../protocol.ts';
import './source.node.ts';

const FILES_MAX = 10_000;

/** The files of a model or adapter folder, or one file. Links to files count, folders inside do not. */
export async function filesAt(path: string): Promise<FileSet> {
  const found = await stat(path).catch(() => {
    throw new UserError(`There is no file or folder ${path}`);
  });
  if (found.isFile()) return { [basename(path)]: { kind: 'path', path: resolve(path) } };
  if (!found.isDirectory()) throw new UserError(`${path} is neither a file nor a folder`);
  const entries = await readdir(path, { withFileTypes: true });
  if (entries.length > FILES_MAX)
    throw new UserError(
      `${path} holds ${entries.length} entries, more than a model folder would; choose the model's own folder`,
    );
  const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink());
  return Object.fromEntries(
    files.map(({ name }): [string, FileRef] => [name, { kind: 'path', path: resolve(join(path, name)) }]),
  );
}
