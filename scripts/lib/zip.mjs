/**
 * Unpacks a zip file with Node's own zlib, for machines without `unzip`. Only what Electron's archives use: stored and
 * deflated entries, symbolic links and execute bits; no encryption, no ZIP64. Names that leave the folder are refused.
 */
import { chmodSync, closeSync, mkdirSync, openSync, readSync, symlinkSync, writeFileSync, fstatSync } from 'node:fs';
import { dirname, resolve, sep } from 'node:path';
import { inflateRawSync } from 'node:zlib';

function readAt(file, position, length) {
  const bytes = Buffer.alloc(length);
  const got = readSync(file, bytes, 0, length, position);
  if (got !== length) throw new Error(`zip file is truncated at byte ${position + got}`);
  return bytes;
}

function directory(file) {
  const size = fstatSync(file).size;
  const tailLength = Math.min(size, 65_557);
  const tail = readAt(file, size - tailLength, tailLength);
  const end = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
  if (end < 0) throw new Error('not a zip file: it has no end record');
  return {
    count: tail.readUInt16LE(end + 10),
    bytes: readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12)),
  };
}

function* entries(file) {
  const { count, bytes } = directory(file);
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (bytes.readUInt32LE(at) !== 0x02014b50) throw new Error('zip directory is damaged');
    const nameLength = bytes.readUInt16LE(at + 28);
    yield {
      method: bytes.readUInt16LE(at + 10),
      packed: bytes.readUInt32LE(at + 20),
      size: bytes.readUInt32LE(at + 24),
      mode: bytes.readUInt32LE(at + 38) >>> 16,
      offset: bytes.readUInt32LE(at + 42),
      name: bytes.toString('utf8', at + 46, at + 46 + nameLength),
    };
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
}

function contentOf(file, entry) {
  const header = readAt(file, entry.offset, 30);
  const start = entry.offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  const packed = readAt(file, start, entry.packed);
  const content = entry.method === 8 ? inflateRawSync(packed, { maxOutputLength: entry.size + 1 }) : packed;
  if (content.length !== entry.size) throw new Error(`zip entry has the wrong length: ${entry.name}`);
  return content;
}

/** Unpacks `archive` into `folder`, which is made. */
export function unzip(archive, folder) {
  const base = resolve(folder);
  const file = openSync(archive, 'r');
  try {
    for (const entry of entries(file)) {
      const target = resolve(base, entry.name);
      if (target !== base && !target.startsWith(base + sep))
        throw new Error(`zip entry leaves its folder: ${entry.name}`);
      if (entry.name.endsWith('/')) {
        mkdirSync(target, { recursive: true });
        continue;
      }
      mkdirSync(dirname(target), { recursive: true });
      const content = contentOf(file, entry);
      if ((entry.mode & 0o170000) === 0o120000) symlinkSync(content.toString('utf8'), target);
      else {
        writeFileSync(target, content);
        if (entry.mode & 0o111) chmodSync(target, 0o755);
      }
    }
  } finally {
    closeSync(file);
  }
}
