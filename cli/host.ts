/** The terminal's place: an engine in a worker thread, the workspace as a folder, files by path. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesAt } from '../engine/formats/folder.node.ts';
import type { DeviceChoice, FileSet } from '../engine/protocol.ts';
import { startNodeEngine } from '../engine/start.node.ts';
import { openNodeDownloads } from '../workflows/download/downloads.node.ts';
import type { Host } from '../workflows/controller/host.ts';
import { rememberedDevice, rememberedTunings } from '../workflows/workspace/remembered.ts';
import '../workflows/tools/sandbox/register.node.ts';
import { openNodeStore } from '../workflows/workspace/store.node.ts';
import { terminalOutside } from './outside.ts';
import { readUserFile } from './place.ts';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

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
    ...(process.env.TROUPE_TUNE === 'off' ? {} : { tunings: rememberedTunings(store) }),
    readFile: readUserFile,
    downloads: (onDownload) =>
      openNodeDownloads({
        store,
        folder: workspace,
        onDownload,
        ...(process.env.HF_TOKEN ? { token: process.env.HF_TOKEN } : {}),
        ...(process.env.HF_ENDPOINT ? { endpoint: process.env.HF_ENDPOINT } : {}),
      }),
    outside: terminalOutside(),
    software: { troupe: '0.1.0', node: process.version, platform: `${process.platform}-${process.arch}` },
  };
}

async function modelAt(named: string): Promise<FileSet | null> {
  const found = await stat(named).catch(() => null);
  return found === null ? null : filesAt(path.resolve(named));
}
