/** Where the terminal keeps its work, and the files a person names. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/errors.ts';
import { QUESTIONS } from '../workflows/workspace/layout.ts';

/** Node reads no more than this in one go. */
const READ_MAX_BYTES = 2 ** 31 - 1;

/** `--workspace`, else TROUPE_WORKSPACE, else `.troupe` in the current folder. */
export function workspaceFolder(chosen?: string): string {
  return path.resolve(chosen ?? process.env.TROUPE_WORKSPACE ?? '.troupe');
}

export type RunPlace = { readonly run: string; readonly workspace: string };

/**
 * A run by its id in the workspace, or by its folder, which says the workspace too; "questions" stands for those asked one
 * by one. "@STEP" behind it, or the folder of a
 * checkpoint, names one of its checkpoints: the run is then "ID@STEP".
 */
export function runAt(named: string, workspace?: string): RunPlace {
  if (named === 'questions') return { run: QUESTIONS, workspace: workspaceFolder(workspace) };
  if (!/[\\/]/.test(named)) return { run: named, workspace: workspaceFolder(workspace) };
  const found = /^(.*)\/runs\/([^/]+)(?:\/checkpoints\/(\d+))?$/.exec(path.resolve(named).replaceAll('\\', '/'));
  if (!found) throw new UserError(`Not the folder of a run: ${named}; it looks like WORKSPACE/runs/ID`);
  const [, folder, run, step] = found;
  return { run: step === undefined ? run : `${run}@${Number(step)}`, workspace: folder };
}

export async function readUserFile(named: string): Promise<Uint8Array> {
  const found = await stat(named).catch(() => null);
  if (!found) throw new UserError(`No such file: ${named}`);
  if (!found.isFile()) throw new UserError(`Not a file: ${named}`);
  if (found.size > READ_MAX_BYTES)
    throw new UserError(`File too large: ${named} has ${found.size} bytes; at most ${READ_MAX_BYTES} are read`);
  return new Uint8Array(await readFile(named));
}
