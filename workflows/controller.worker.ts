/**
 * The controller in a Web Worker, for the page and for the desktop's hidden window. The first message opens it:
 * `{type: 'open', store, services}` with ports that serve the workspace and the services that may play roles, or null for the
 * browser's private file system and no services; each
 * `{type: 'client', port}` connects one screen. The engine runs in a worker of this worker.
 */
import { webWire } from '../engine/client.ts';
import type { FileRef } from '../engine/protocol.ts';
import { startWebEngine } from '../engine/start.web.ts';
import { connect } from '../engine/wire.ts';
import { controllerEvents } from './controller-client.ts';
import { createController } from './controller.ts';
import type { Host } from './controller/host.ts';
import { downloadsOfPage } from './download/downloads.page.ts';
import type { ControllerApi, ControllerEvents } from './protocol.ts';
import type { Outside } from './run/answering.ts';
import { connectServices, type Services } from './run/services.port.ts';
import './tools/sandbox/register.web.ts';
import { rememberedDevice, rememberedTunings } from './workspace/remembered.ts';
import { openOpfsStore } from './workspace/store.opfs.ts';
import { connectStore } from './workspace/store.port.ts';
import type { Store } from './workspace/store.ts';

type Opening =
  { type: 'open'; store: MessagePort | null; services: MessagePort | null } | { type: 'client'; port: MessagePort };
type Screen = { [name in keyof ControllerEvents]: (...args: Parameters<ControllerEvents[name]>) => unknown };

const nanoFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'model.safetensors',
];
const PIECE = 16 * 1024 * 1024;

/** A workspace file as a blob, fetched in pieces: the browser keeps large blobs out of this worker's memory. */
async function blobOf(store: Store, path: string): Promise<FileRef> {
  const size = (await store.stat(path))?.size ?? 0;
  const parts: BlobPart[] = [];
  for (let at = 0; at < size; at += PIECE)
    parts.push(new Blob([(await store.readRange(path, at, Math.min(PIECE, size - at))) as Uint8Array<ArrayBuffer>]));
  return { kind: 'blob', blob: new Blob(parts) };
}

function outsideOf({ post, readPage }: Services): Outside {
  return { network: { post }, web: { read: (url, limits) => readPage(url, limits) } };
}

function hostOf(store: Store, downloads: Host['downloads'], services?: Services): Host {
  // Workers are built into assets/, one level below the pages; models/ stands beside the pages.
  const nano = new URL(import.meta.env.DEV ? '/models/nano/' : '../models/nano/', self.location.href);
  return {
    startEngine: startWebEngine,
    device: 'auto',
    places: {
      store,
      bundled: {
        nano: Object.fromEntries(
          nanoFiles.map((name): [string, FileRef] => [name, { kind: 'url', url: new URL(name, nano).href }]),
        ),
      },
      refOf: (path) => blobOf(store, path),
    },
    remembered: rememberedDevice(store),
    tunings: rememberedTunings(store),
    screens: true,
    downloads,
    ...(services ? { outside: outsideOf(services), keys: services } : {}),
    software: { troupe: '0.1.0', browser: navigator.userAgent },
  };
}

const screens = new Set<Screen>();
const tellAll = Object.fromEntries(
  controllerEvents.map((name) => [
    name,
    (...args: unknown[]) => screens.forEach((screen) => (screen[name] as (...args: unknown[]) => unknown)(...args)),
  ]),
) as unknown as ControllerEvents;

let controller: Promise<ControllerApi> | null = null;

async function open(port: MessagePort | null, services: MessagePort | null): Promise<ControllerApi> {
  if (!port) return createController(hostOf(await openOpfsStore(), downloadsOfPage), tellAll);
  const { store, downloads } = connectStore(webWire(port));
  return createController(hostOf(store, downloads, services ? connectServices(webWire(services)) : undefined), tellAll);
}

/** A client's calls wait until the controller stands. */
function serve(port: MessagePort): void {
  const api = new Proxy({} as ControllerApi, {
    get:
      (_, name: keyof ControllerApi) =>
      async (...args: never[]) =>
        ((await controller!)[name] as (...args: never[]) => unknown)(...args),
    has: () => true,
  });
  screens.add(connect<Screen, ControllerApi>(webWire(port), api, [...controllerEvents]));
}

self.addEventListener('message', (event: MessageEvent<Opening>) => {
  if (event.data.type === 'open') controller ??= open(event.data.store, event.data.services);
  else serve(event.data.port);
});
