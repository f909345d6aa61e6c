/** Team files from outside the workspace: which of a program's arguments name one, and their text, bounded. Knows no window. */
import { readFile, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { UserError } from '../engine/errors.ts';
import { words } from '../renderer/words.ts';

export const teamFileMaxBytes = 8 * 1024 * 1024;
const mostAtOnce = 8;

/** Absolute paths of the .json files that arguments name; the system starts the program so when one is opened. */
export function filesNamed(argv: readonly string[], folder: string): string[] {
  return argv
    .slice(1)
    .filter((argument) => !argument.startsWith('-') && /\.json$/i.test(argument))
    .slice(0, mostAtOnce)
    .map((argument) => resolve(folder, argument));
}

/** Throws a UserError where there is no such file, or one that is no team's size. */
export async function readTeamFile(path: string): Promise<{ name: string; text: string }> {
  const text = words.desktop.files;
  const found = await stat(path).catch(() => null);
  if (!found) throw new UserError(text.missing(path));
  if (!found.isFile()) throw new UserError(text.notFile(path));
  if (found.size > teamFileMaxBytes) throw new UserError(text.tooLarge(basename(path), found.size, teamFileMaxBytes));
  try {
    return { name: basename(path), text: await readFile(path, 'utf8') };
  } catch {
    throw new UserError(text.unreadable(path));
  }
}
