/**
 * Reading safetensors files: an 8-byte header length, a JSON header, then the tensors' bytes. The whole header is checked
 * against the file before any tensor is touched; then tensors come one at a time as float32, so memory stays at the size
 * of the one asked for. Offsets are bytes; all numbers are little-endian. Source: the safetensors format description.
 */
import { UserError } from '../errors.ts';
import { bfloatToFloat, halfToFloat } from './half.ts';
import { isObject, parseObject, show } from './json.ts';
import type { ByteSource } from './bytes-source.ts';

export type StoredType = 'F32' | 'F16' | 'BF16' | 'F64' | 'I64' | 'I32' | 'I16' | 'I8' | 'U8' | 'BOOL';

export type TensorEntry = {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
  readonly elements: number;
  /** Place in the file. */
  readonly offset: number;
  readonly bytes: number;
};

export type SafetensorsFile = {
  readonly source: ByteSource;
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
};

export const TYPE_BYTES: Readonly<Record<StoredType, number>> = {
  F32: 4,
  F16: 2,
  BF16: 2,
  F64: 8,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};
const HEADER_MAX_BYTES = 100_000_000;
const RANK_MAX = 8;
/** Tensors are converted in pieces of this many bytes (a multiple of every type's size). */
const PIECE_BYTES = 2 ** 24;

/** Reads and checks the header: types, shapes, offsets inside the file, no overlap. */
export async function openSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const { name, size } = source;
  if (size < 8)
    throw new UserError(`${name} is not a safetensors file: it has ${size} bytes; download or copy it again`);
  const lengthBytes = await source.read(0, 8);
  const headerBytes = new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0, true);
  if (headerBytes > BigInt(HEADER_MAX_BYTES) || headerBytes > BigInt(size - 8)) {
    throw new UserError(
      `${name} is not a safetensors file or is truncated: its header claims ${headerBytes} bytes and the file has ${size}; download or copy it again`,
    );
  }
  const dataStart = 8 + Number(headerBytes);
  const header = parseObject(`${name} (header)`, await source.read(8, Number(headerBytes)));
  const entries = new Map<string, TensorEntry>();
  let metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(header)) {
    if (key === '__metadata__') metadata = readMetadata(name, value);
    else entries.set(key, readEntry(name, key, value, dataStart, size));
  }
  checkOverlap(name, [...entries.values()]);
  return { source, entries, metadata };
}

function readMetadata(file: string, value: unknown): Record<string, string> {
  if (!isObject(value)) throw new UserError(`${file}: the header's metadata must be an object, not ${show(value)}`);
  const pairs = Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string');
  return Object.fromEntries(pairs);
}

function readEntry(file: string, name: string, value: unknown, dataStart: number, fileSize: number): TensorEntry {
  const where = `${file}: tensor ${show(name)}`;
  if (!isObject(value)) throw new UserError(`${where} is not described by an object; the file is damaged`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(TYPE_BYTES, dtype))
    throw new UserError(`${where} has the type ${show(dtype)}, which is not read here; convert it to F32, F16 or BF16`);
  const type = dtype as StoredType;
  if (!Array.isArray(shape) || shape.length > RANK_MAX || !shape.every((d) => Number.isSafeInteger(d) && d >= 0)) {
    throw new UserError(`${where} has an impossible shape ${show(shape)}; the file is damaged`);
  }
  const dims = shape as number[];
  const elements = dims.reduce((product, d) => product * d, 1);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every((o) => Number.isSafeInteger(o) && o >= 0)) {
    throw new UserError(`${where} has impossible offsets ${show(offsets)}; the file is damaged`);
  }
  const [start, end] = offsets as number[];
  if (end < start || dataStart + end > fileSize)
    throw new UserError(
      `${where} reaches beyond the file: bytes ${start} to ${end} of ${fileSize - dataStart}; the file is truncated, download or copy it again`,
    );
  if (elements * TYPE_BYTES[type] !== end - start)
    throw new UserError(
      `${where} of shape ${show(shape)} and type ${type} cannot have ${end - start} bytes; the file is damaged`,
    );
  return { name, type, shape: dims, elements, offset: dataStart + start, bytes: end - start };
}

function checkOverlap(file: string, entries: TensorEntry[]): void {
  const used = entries.filter((entry) => entry.bytes > 0).sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < used.length; i++) {
    if (used[i].offset < used[i - 1].offset + used[i - 1].bytes)
      throw new UserError(
        `${file}: tensors ${show(used[i - 1].name)} and ${show(used[i].name)} overlap; the file is damaged`,
      );
  }
}

/** One tensor as float32, whatever its stored type, in row-major order. // [elements] */
export async function readFloats(file: SafetensorsFile, name: string): Promise<Float32Array> {
  const entry = entryOf(file, name);
  if (entry.type === 'F32')
    return aligned(await file.source.read(entry.offset, entry.bytes), (buffer) => new Float32Array(buffer));
  const out = new Float32Array(entry.elements);
  const size = TYPE_BYTES[entry.type];
  for (let at = 0; at < entry.bytes; at += PIECE_BYTES) {
    const bytes = await file.source.read(entry.offset + at, Math.min(PIECE_BYTES, entry.bytes - at));
    convert(entry.type, bytes, out.subarray(at / size, (at + bytes.byteLength) / size));
  }
  return out;
}

/** One tensor of whole numbers; values beyond 32 bits are refused. // [elements] */
export async function readInts(file: SafetensorsFile, name: string): Promise<Int32Array> {
  const entry = entryOf(file, name);
  if (entry.type === 'I32')
    return aligned(await file.source.read(entry.offset, entry.bytes), (buffer) => new Int32Array(buffer));
  if (entry.type === 'I64') {
    const wide = aligned(await file.source.read(entry.offset, entry.bytes), (buffer) => new BigInt64Array(buffer));
    return Int32Array.from(wide, (value) => {
      if (BigInt.asIntN(32, value) !== value)
        throw new UserError(`${file.source.name}: tensor ${show(name)} holds ${value}, which needs more than 32 bits`);
      return Number(value);
    });
  }
  if (entry.type === 'U8' || entry.type === 'BOOL')
    return Int32Array.from(await file.source.read(entry.offset, entry.bytes));
  throw new UserError(`${file.source.name}: tensor ${show(name)} must hold whole numbers, not ${entry.type}`);
}

export function entryOf(file: SafetensorsFile, name: string): TensorEntry {
  const entry = file.entries.get(name);
  if (entry === undefined) throw new UserError(`${file.source.name} has no tensor ${name}`);
  return entry;
}

/** A typed array over the bytes' own buffer where they fill it, over a copy where they are a view into a larger one. */
function aligned<T>(bytes: Uint8Array, view: (buffer: ArrayBuffer) => T): T {
  const alone =
    bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer;
  // A copy, also of Node's Buffer, whose own slice() is a view.
  return view(alone ? (bytes.buffer as ArrayBuffer) : new Uint8Array(bytes).buffer);
}

function convert(type: Exclude<StoredType, 'F32'>, bytes: Uint8Array, out: Float32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'F16':
      return halfToFloat(bytes, out);
    case 'BF16':
      return bfloatToFloat(bytes, out);
    case 'F64':
      for (let i = 0; i < out.length; i++) out[i] = view.getFloat64(8 * i, true);
      return;
    case 'I64':
      for (let i = 0; i < out.length; i++) out[i] = Number(view.getBigInt64(8 * i, true));
      return;
    case 'I32':
      for (let i = 0; i < out.length; i++) out[i] = view.getInt32(4 * i, true);
      return;
    case 'I16':
      for (let i = 0; i < out.length; i++) out[i] = view.getInt16(2 * i, true);
      return;
    case 'I8':
      for (let i = 0; i < out.length; i++) out[i] = view.getInt8(i);
      return;
    case 'U8':
    case 'BOOL':
      return out.set(bytes);
    default:
      return type satisfies never;
  }
}
