/**
 * A folder as one ZIP file, stored without compression (weights do not shrink): local headers, central directory, end
 * record, per PKWARE's APPNOTE 6.3. Limits of the plain format are checked: 65,535 files and 4 GiB in all.
 */
import { UserError } from '../../engine/errors.ts';

export type ZipFile = { readonly name: string; readonly bytes: Uint8Array };

const LIMIT = 0xffffffff;
/** 1 January 1980, the format's first day: the same files give the same bytes. */
const DATE = 0x0021;

const table = Uint32Array.from({ length: 256 }, (_, at) => {
  let value = at;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) crc = table[(crc ^ bytes[at]) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

type Field = readonly [bytes: 2 | 4, value: number];

function record(fields: readonly Field[]): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
  let at = 0;
  for (const [bytes, value] of fields) {
    if (bytes === 2) view.setUint16(at, value, true);
    else view.setUint32(at, value, true);
    at += bytes;
  }
  return new Uint8Array(view.buffer);
}

/** The fields that a file's local header and its entry in the directory share: version, UTF-8 names, stored, date, sizes. */
function shared(crc: number, size: number, nameBytes: number): Field[] {
  return [
    [2, 20],
    [2, 0x0800],
    [2, 0],
    [2, 0],
    [2, DATE],
    [4, crc],
    [4, size],
    [4, size],
    [2, nameBytes],
    [2, 0],
  ];
}

/** All files in one archive. Throws a UserError beyond the format's limits. */
export function zip(files: readonly ZipFile[]): Blob {
  const total = files.reduce((sum, file) => sum + file.bytes.length + 2 * file.name.length + 128, 0);
  if (total > LIMIT || files.length > 0xffff)
    throw new UserError(
      `Too much for one ZIP file: ${files.length} files, ${total} bytes; export from the terminal instead`,
    );
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const directory: Uint8Array<ArrayBuffer>[] = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const encoded = new TextEncoder().encode(name);
    const fields = shared(crc32(bytes), bytes.length, encoded.length);
    const header = record([[4, 0x04034b50], ...fields]);
    parts.push(header, encoded, bytes as Uint8Array<ArrayBuffer>);
    directory.push(record([[4, 0x02014b50], [2, 20], ...fields, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]), encoded);
    offset += header.length + encoded.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record([
    [4, 0x06054b50],
    [2, 0],
    [2, 0],
    [2, files.length],
    [2, files.length],
    [4, size],
    [4, offset],
    [2, 0],
  ]);
  return new Blob([...parts, ...directory, end], { type: 'application/zip' });
}
