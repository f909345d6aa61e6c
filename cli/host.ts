/** The terminal's place: an engine in a worker thread, the workspace as a folder, files by path. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../engine/errors.ts';
import { filesAt } from '../engine/formats/folder.node.ts';
import type { DeviceChoice, FileSet } from '../engine/protocol.ts';
import { startNodeEngine } from '../engine/start.node.ts';
import type { Host } from '../workflows/controller/host.ts';
import { rememberedDevice } from '../workflows/workspace/remembered.ts';
import { openNodeStore } from '../workflows/workspace/store.node.ts';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const READ_MAX_BYTES = 4 * 1024 ** 3;

/** `--workspace`, else TROUPE_WORKSPACE, else `.troupe` in the current folder. */
export function workspaceFolder(chosen?: string): string {
  return path.resolve(chosen ?? process.env.TROUPE_WORKSPACE ?? '.troupe');
}

export async function terminalHost(workspace: string, device: DeviceChoice): Promise<Host> {
  const store = openNodeStore(workspace);
  return {
    startEngine: startNodeEngine,
    device,
    places: {
      store,
      bundled: { nano: await filesAt(path.join(root, 'models/nano')) },
      refOf: async (inside) => ({ kind: 'path', path: path.join(workspace, inside) }),
      fromPath: modelAt,
    },
    remembered: rememberedDevice(store),
    readFile: readUserFile,
    software: { troupe: '0.1.0', node: process.version, platform: `${process.platform}-${process.arch}` },
  };
}

async function modelAt(named: string): Promise<FileSet | null> {
  const found = await stat(named).catch(() => null);
  return found === null ? null : filesAt(path.resolve(named));
}

export async function readUserFile(named: string): Promise<Uint8Array> {
  const found = await stat(named).catch(() => null);
  if (!found) throw new UserError(`No such file: ${named}`);
  if (!found.isFile()) throw new UserError(`Not a file: ${named}`);
  if (found.size > READ_MAX_BYTES) throw new UserError(`File too large: ${named} has ${found.size} bytes; at most ${READ_MAX_BYTES} are read`);
  return new Uint8Array(await readFile(named));
}
