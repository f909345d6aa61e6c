/**
 * Where bytes come from. A `ByteSource` answers ranged reads of one immutable file, whether it lies on disk, in a Blob,
 * behind a URL or in memory; nothing above it knows which. Sizes and offsets are bytes. Paths need an opener that only
 * Node entries register (source.node.ts), so this module runs in a browser unchanged.
 */
import { UserError } from '../errors.ts';
import type { FileRef } from '../protocol.ts';
import { checkRange, fromBytes, type ByteSource } from './bytes-source.ts';
import { openUrl } from './source-url.ts';

export type { ByteSource } from './bytes-source.ts';

export type PathOpener = (name: string, path: string) => Promise<ByteSource>;

let openPath: PathOpener | null = null;

/** Makes 'path' references work; called by source.node.ts when a Node entry imports it. */
export function registerPathOpener(opener: PathOpener): void {
  openPath = opener;
}

/** Opens a file for reading; fails with a UserError when it is not there or not readable. */
export async function openSource(name: string, ref: FileRef): Promise<ByteSource> {
  switch (ref.kind) {
    case 'bytes':
      return fromBytes(name, ref.bytes);
    case 'blob':
      return fromBlob(name, ref.blob);
    case 'url':
      return openUrl(name, ref.url);
    case 'path':
      if (openPath === null)
        throw new UserError(`Files cannot be opened by path here: ${ref.path}; choose the file itself instead`);
      return openPath(name, ref.path);
    default:
      return ref satisfies never;
  }
}

/** The whole file, refused when it is larger than `maxBytes`. */
export async function readWhole(source: ByteSource, maxBytes: number): Promise<Uint8Array> {
  if (source.size > maxBytes)
    throw new UserError(
      `${source.name} is too large for what it is: ${source.size} bytes, at most ${maxBytes} are read; check that it is the right file`,
    );
  return source.read(0, source.size);
}

function fromBlob(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      checkRange(name, blob.size, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch {
        // A Blob of a file that changed or vanished since it was chosen rejects with NotReadableError.
        throw new UserError(`${name} can no longer be read; choose the file again`);
      }
    },
  };
}
