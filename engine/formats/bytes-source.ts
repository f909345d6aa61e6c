/**
 * A `ByteSource` answers ranged reads of one immutable file; nothing above it knows whether that lies on disk, in a Blob,
 * behind a URL or in memory. Sizes and offsets are bytes.
 */
import { UserError } from '../errors.ts';

export type ByteSource = {
  readonly name: string;
  readonly size: number;
  /** Exactly `length` bytes from `offset`; a UserError when the file does not hold them. The result may be a view: do not write to it. */
  read(offset: number, length: number): Promise<Uint8Array>;
};

export function fromBytes(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    async read(offset, length) {
      checkRange(name, bytes.byteLength, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** Checks a range against the file before anything is allocated. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  const sound = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sound || offset + length > size) {
    throw new UserError(
      `${name} is truncated: bytes ${offset} to ${offset + length} are needed and it has ${size}; download or copy it again`,
    );
  }
}
