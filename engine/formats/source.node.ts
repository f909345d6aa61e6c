/**
 * Opens files by path under Node. Importing this module is what makes 'path' references work. The file is opened anew for
 * each read, so there is no handle to close or to leak; a read costs one open more, which a tensor's size drowns.
 */
import { open, stat } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { checkRange, type ByteSource } from './bytes-source.ts';
import { registerPathOpener } from './source.ts';

/** fs.read takes at most 2 GiB at once. */
const READ_MAX_BYTES = 2 ** 30;

export async function openPath(name: string, path: string): Promise<ByteSource> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === 'ENOENT'
        ? `There is no file ${path}`
        : `${path} cannot be opened (${error.code ?? error.message})`,
    );
  });
  // A pipe or device would block or never end.
  if (!found.isFile()) throw new UserError(`${path} is not a regular file; choose a file`);
  return {
    name,
    size: found.size,
    async read(offset, length) {
      checkRange(name, found.size, offset, length);
      return readRange(path, offset, length);
    },
  };
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${path} cannot be opened (${error.code ?? error.message})`);
  });
  try {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await file.read(bytes, done, Math.min(length - done, READ_MAX_BYTES), offset + done);
      if (bytesRead === 0) throw new UserError(`${path} became shorter while it was read; load it again`);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

registerPathOpener(openPath);
