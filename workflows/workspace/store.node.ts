/**
 * The workspace as a folder on disk, for the terminal and the desktop's main process. A write goes to a neighbouring file,
 * is flushed, then renamed over the old one, so that a crash leaves one or the other and never half.
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import nodePath from 'node:path';
import { UserError } from '../../engine/errors.ts';
import { entryParts, pathParts } from './path.ts';
import type { Store } from './store.ts';

export function openNodeStore(root: string): Store {
  const at = (path: string) => nodePath.join(root, ...pathParts(path));
  const entry = (path: string) => nodePath.join(root, ...entryParts(path));
  return {
    read: (path) => named(path, async () => new Uint8Array(await readFile(at(path)))),
    readRange: (path, offset, length) => named(path, () => readRange(at(path), offset, length)),
    write: (path, bytes) => named(path, () => writeAside(entry(path), bytes)),
    append: (path, line) => named(path, () => extend(entry(path), `${line}\n`)),
    extend: (path, bytes) => named(path, () => extend(entry(path), bytes)),
    list: (path) => named(path, () => list(at(path))),
    stat: (path) => named(path, () => statOrNull(at(path))),
    remove: (path) => named(path, () => rm(entry(path), { recursive: true, force: true })),
    move: (from, to) => named(from, () => move(entry(from), entry(to))),
    claim: (path) => named(path, () => claim(entry(path))),
    release: (path) => named(path, () => release(entry(path))),
  };
}

const refusals: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file in the workspace; was it removed by another program?',
  EISDIR: 'a folder stands where a file belongs; move it away',
  ENOTDIR: 'a file stands where a folder belongs; move it away',
  EACCES: 'this user may not; change its permissions',
  EPERM: 'this user may not; change its permissions',
  EROFS: 'the disk can only be read; choose another workspace',
  ENOSPC: 'the disk is full; free some space and try again',
  EDQUOT: 'the quota is used up; free some space and try again',
  ELOOP: 'its links lead in a circle; remove them',
  ENAMETOOLONG: 'the name is too long; rename it',
  EMFILE: 'too many files are open; close other programs',
  EIO: 'the disk reports an error; copy what matters and check the disk',
};

/** What the file system refuses is something a person can mend: said in a sentence, with the file's name. */
async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const refusal = refusals[(error as NodeJS.ErrnoException).code ?? ''];
    if (refusal === undefined) throw error;
    throw new UserError(`${path} cannot be reached: ${refusal}`);
  }
}

async function readRange(file: string, offset: number, length: number): Promise<Uint8Array> {
  const handle = await open(file, 'r');
  try {
    // A damaged index may ask for more than there is.
    const bytes = new Uint8Array(Math.max(0, Math.min(length, (await handle.stat()).size - offset)));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

let counter = 0;

async function writeAside(file: string, bytes: Uint8Array): Promise<void> {
  await mkdir(nodePath.dirname(file), { recursive: true });
  const aside = `${file}.${process.pid}.${counter++}.tmp`;
  try {
    await writeFlushed(aside, bytes);
    await rename(aside, file);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncFolder(nodePath.dirname(file));
}

async function writeFlushed(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function extend(file: string, more: string | Uint8Array): Promise<void> {
  await mkdir(nodePath.dirname(file), { recursive: true });
  const handle = await open(file, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY);
  try {
    await handle.appendFile(more);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function list(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries
    .filter((entry) => !entry.name.endsWith('.tmp'))
    .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    .sort();
}

async function statOrNull(file: string): Promise<{ size: number; modifiedMs: number } | null> {
  try {
    const found = await stat(file);
    return { size: found.size, modifiedMs: found.mtimeMs };
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null;
    throw error;
  }
}

/** A folder cannot be renamed over a full one, so the old one steps aside first. */
async function move(from: string, to: string): Promise<void> {
  await mkdir(nodePath.dirname(to), { recursive: true });
  const old = `${to}.${process.pid}.${counter++}.old.tmp`;
  const target = await statOrNull(to);
  if (target) await rename(to, old);
  await rename(from, to);
  if (target) await rm(old, { recursive: true, force: true });
  await syncFolder(nodePath.dirname(to));
}

/** The claim is a file with the process's number: what a dead process left behind does not count. */
async function claim(file: string): Promise<boolean> {
  await mkdir(nodePath.dirname(file), { recursive: true });
  const owner = await ownerOf(file);
  if (owner !== null && owner !== process.pid && isAlive(owner)) return false;
  await rm(file, { force: true });
  await writeFile(file, `${process.pid}\n`, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return (await ownerOf(file)) === process.pid;
}

async function release(file: string): Promise<void> {
  if ((await ownerOf(file)) === process.pid) await rm(file, { force: true });
}

async function ownerOf(file: string): Promise<number | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const pid = Number.parseInt(text, 10);
  return Number.isInteger(pid) && pid > 0 ? pid : null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Makes a rename durable; Windows cannot flush a folder and does not need to. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
