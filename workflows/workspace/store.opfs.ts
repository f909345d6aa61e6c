/**
 * The workspace in a browser's private file system (OPFS). Runs in a worker, where files can be written through synchronous
 * handles and flushed. A write goes to a neighbouring file that is then moved over the old one.
 */
import { entryParts, pathParts } from './path.ts';
import type { Store } from './store.ts';

type Folder = FileSystemDirectoryHandle;
type Movable = { move(folder: Folder, name: string): Promise<void> };

export async function openOpfsStore(folderName = 'troupe'): Promise<Store> {
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle(folderName, { create: true });
  const file = async (path: string, create: boolean) => {
    const { folder, name } = await parent(root, path, create);
    return folder.getFileHandle(name, { create });
  };
  // A file takes one synchronous handle at a time, and its neighbour "….tmp" is shared: changes run one after another.
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const result = last.then(change);
    last = result.catch(() => {});
    return result;
  };
  const held = new Map<string, () => void>();
  return {
    read: async (path) => new Uint8Array(await (await (await file(path, false)).getFile()).arrayBuffer()),
    readRange: async (path, offset, length) => {
      const blob = (await (await file(path, false)).getFile()).slice(offset, offset + length);
      return new Uint8Array(await blob.arrayBuffer());
    },
    write: (path, bytes) => inTurn(() => writeAside(root, path, bytes)),
    append: (path, line) => inTurn(async () => extend(await file(path, true), new TextEncoder().encode(`${line}\n`))),
    extend: (path, bytes) => inTurn(async () => extend(await file(path, true), bytes)),
    list: (path) => list(root, path),
    stat: (path) => stat(root, path),
    remove: (path) =>
      inTurn(async () => {
        const found = await parent(root, path, false).catch(ifAbsent);
        if (found) await found.folder.removeEntry(found.name, { recursive: true }).catch(ifAbsent);
      }),
    move: (from, to) => inTurn(() => move(root, from, to)),
    claim: (path) => claim(held, `${folderName}/${path}`),
    release: async (path) => {
      held.get(`${folderName}/${path}`)?.();
      held.delete(`${folderName}/${path}`);
    },
  };
}

async function extend(file: FileSystemFileHandle, bytes: Uint8Array): Promise<void> {
  const handle = await file.createSyncAccessHandle();
  try {
    handle.write(bytes as Uint8Array<ArrayBuffer>, { at: handle.getSize() });
    handle.flush();
  } finally {
    handle.close();
  }
}

/** A lock of the origin, which ends with the page that holds it. */
async function claim(held: Map<string, () => void>, name: string): Promise<boolean> {
  if (held.has(name)) return true;
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && new Promise<void>((release) => held.set(name, release));
      })
      .catch(reject);
  });
}

async function folderAt(root: Folder, parts: readonly string[], create: boolean): Promise<Folder> {
  let folder = root;
  for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
  return folder;
}

async function parent(root: Folder, path: string, create: boolean): Promise<{ folder: Folder; name: string }> {
  const parts = entryParts(path);
  return { folder: await folderAt(root, parts.slice(0, -1), create), name: parts[parts.length - 1] };
}

function ifAbsent(error: unknown): null {
  if (error instanceof DOMException && ['NotFoundError', 'TypeMismatchError'].includes(error.name)) return null;
  throw error;
}

async function writeAside(root: Folder, path: string, bytes: Uint8Array): Promise<void> {
  const { folder, name } = await parent(root, path, true);
  const aside = await folder.getFileHandle(`${name}.tmp`, { create: true });
  const handle = await aside.createSyncAccessHandle();
  try {
    handle.truncate(0);
    handle.write(bytes as Uint8Array<ArrayBuffer>, { at: 0 });
    handle.flush();
  } finally {
    handle.close();
  }
  await (aside as unknown as Movable).move(folder, name);
}

async function list(root: Folder, path: string): Promise<string[]> {
  const folder = await folderAt(root, pathParts(path), false).catch(ifAbsent);
  const names: string[] = [];
  if (!folder) return names;
  for await (const [name, handle] of folder.entries())
    if (!name.endsWith('.tmp')) names.push(handle.kind === 'directory' ? `${name}/` : name);
  return names.sort();
}

async function stat(root: Folder, path: string): Promise<{ size: number; modifiedMs: number } | null> {
  const found = await parent(root, path, false).catch(ifAbsent);
  if (!found) return null;
  const handle = await found.folder.getFileHandle(found.name).catch(ifAbsent);
  if (handle) {
    const file = await handle.getFile();
    return { size: file.size, modifiedMs: file.lastModified };
  }
  return (await found.folder.getDirectoryHandle(found.name).catch(ifAbsent)) ? { size: 0, modifiedMs: 0 } : null;
}

/** Chromium moves files but not folders, so a folder's files move one by one; whoever reads a moved folder checks that it is whole. */
async function move(root: Folder, from: string, to: string): Promise<void> {
  const source = await parent(root, from, false);
  const target = await parent(root, to, true);
  const file = await source.folder.getFileHandle(source.name).catch(ifAbsent);
  if (file) return (file as unknown as Movable).move(target.folder, target.name);
  await target.folder.removeEntry(target.name, { recursive: true }).catch(ifAbsent);
  await moveFolder(
    await source.folder.getDirectoryHandle(source.name),
    await target.folder.getDirectoryHandle(target.name, { create: true }),
  );
  await source.folder.removeEntry(source.name, { recursive: true });
}

async function moveFolder(from: Folder, to: Folder): Promise<void> {
  const entries: [string, FileSystemHandle][] = [];
  for await (const entry of from.entries()) entries.push(entry);
  for (const [name, handle] of entries) {
    if (handle.kind === 'file') await (handle as unknown as Movable).move(to, name);
    else await moveFolder(handle as Folder, await to.getDirectoryHandle(name, { create: true }));
  }
}
