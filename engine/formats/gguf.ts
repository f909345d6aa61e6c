/**
 * GGUF files: metadata and tensor directory, checked against the file before any tensor is touched. Tensors come out as
 * float32 in the file's own layout and names; what they mean to a model stands in gguf-config.ts and model-files.ts.
 * Shapes are row-major (GGUF's dimensions reversed); offsets are bytes. Source: the GGUF format description, versions 2, 3.
 */
import { UserError } from '../errors.ts';
import { BLOCKS, GGML_TYPES, dequantise, type GgmlType } from './ggml-blocks.ts';
import { show } from './json.ts';
import type { ByteSource } from './bytes-source.ts';

/** Numbers of 64 bits become doubles; arrays of numbers are typed arrays or lists by their element type. */
export type GgufValue = number | boolean | string | readonly string[] | ArrayLike<number>;

export type GgufTensor = {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly offset: number;
  readonly bytes: number;
};

export type GgufFile = {
  readonly source: ByteSource;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
};

const HEADER_MAX_BYTES = 2 ** 28;
const FIRST_READ_BYTES = 2 ** 20;
const RANK_MAX = 4;
/** A pair is at least a key's length, one byte of key, a type and a value; a tensor its five fields. */
const PAIR_MIN_BYTES = 14;
const TENSOR_MIN_BYTES = 33;
const PIECE_BYTES = 2 ** 24;

/** Reads the header, growing what is held until all of it is there: memory stays below twice the header's size. */
export async function openGguf(source: ByteSource): Promise<GgufFile> {
  const limit = Math.min(source.size, HEADER_MAX_BYTES);
  for (let held = Math.min(FIRST_READ_BYTES, limit); ; held = Math.min(4 * held, limit)) {
    const cursor = new Cursor(source.name, await source.read(0, held), source.size);
    try {
      return parse(source, cursor);
    } catch (error) {
      if (error !== BEYOND) throw error;
      if (held === limit)
        throw new UserError(
          `${source.name} is truncated: its header reaches beyond ${held} bytes; download or copy it again`,
        );
    }
  }
}

/** Thrown by a cursor that runs off what is held so far. */
const BEYOND = Symbol('beyond the bytes held');

class Cursor {
  at = 0;
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly fileSize: number;
  readonly #view: DataView;
  readonly #text = new TextDecoder();

  constructor(file: string, bytes: Uint8Array, fileSize: number) {
    this.file = file;
    this.bytes = bytes;
    this.fileSize = fileSize;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Moves over `length` bytes and returns where they start. */
  take(length: number): number {
    const start = this.at;
    if (length > this.fileSize - start)
      throw new UserError(
        `${this.file} is truncated or damaged: ${length} bytes are named at ${start} of ${this.fileSize}; download or copy it again`,
      );
    if (start + length > this.bytes.byteLength) throw BEYOND;
    this.at = start + length;
    return start;
  }

  u8 = () => this.#view.getUint8(this.take(1));
  i8 = () => this.#view.getInt8(this.take(1));
  u16 = () => this.#view.getUint16(this.take(2), true);
  i16 = () => this.#view.getInt16(this.take(2), true);
  u32 = () => this.#view.getUint32(this.take(4), true);
  i32 = () => this.#view.getInt32(this.take(4), true);
  f32 = () => this.#view.getFloat32(this.take(4), true);
  f64 = () => this.#view.getFloat64(this.take(8), true);
  i64 = () => Number(this.#view.getBigInt64(this.take(8), true));
  u64 = () => Number(this.#view.getBigUint64(this.take(8), true));

  /** A count of things that each take at least `least` bytes of the file. */
  count(what: string, least: number): number {
    const count = this.u64();
    if (count * least > this.fileSize)
      throw new UserError(
        `${this.file} is damaged: it names ${count} ${what} and has ${this.fileSize} bytes; download or copy it again`,
      );
    return count;
  }

  text(): string {
    const length = this.count('characters', 1);
    const start = this.take(length);
    return this.#text.decode(this.bytes.subarray(start, start + length));
  }
}

function parse(source: ByteSource, cursor: Cursor): GgufFile {
  const magic = cursor.u32();
  if (magic !== 0x46554747) throw new UserError(`${source.name} is not a GGUF file; choose a file that ends in .gguf`);
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    const why = version === 0x03000000 || version === 0x02000000 ? 'it is big-endian' : `its version is ${version}`;
    throw new UserError(`${source.name} cannot be read: ${why}; take a little-endian GGUF file of version 2 or 3`);
  }
  const tensorCount = cursor.count('tensors', TENSOR_MIN_BYTES);
  const pairCount = cursor.count('metadata entries', PAIR_MIN_BYTES);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < pairCount; i++) {
    const key = cursor.text();
    if (metadata.has(key)) throw new UserError(`${source.name} is damaged: metadata ${show(key)} stands in it twice`);
    metadata.set(key, readValue(cursor, cursor.u32()));
  }
  const found: GgufTensor[] = [];
  for (let i = 0; i < tensorCount; i++) found.push(readTensorEntry(cursor));
  const alignment = metadata.get('general.alignment') ?? 32;
  if (typeof alignment !== 'number' || !Number.isInteger(Math.log2(alignment)) || alignment > 65_536)
    throw new UserError(`${source.name}: general.alignment must be a power of two up to 65536, not ${show(alignment)}`);
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  return { source, metadata, tensors: placeTensors(source, found, dataStart, alignment) };
}

/** Value types by their number in the file: how to read one, and the least bytes it takes. */
const SCALARS: Readonly<Record<number, { readonly bytes: number; read(cursor: Cursor): number | boolean }>> = {
  0: { bytes: 1, read: (c) => c.u8() },
  1: { bytes: 1, read: (c) => c.i8() },
  2: { bytes: 2, read: (c) => c.u16() },
  3: { bytes: 2, read: (c) => c.i16() },
  4: { bytes: 4, read: (c) => c.u32() },
  5: { bytes: 4, read: (c) => c.i32() },
  6: { bytes: 4, read: (c) => c.f32() },
  7: { bytes: 1, read: (c) => c.u8() !== 0 },
  10: { bytes: 8, read: (c) => c.u64() },
  11: { bytes: 8, read: (c) => c.i64() },
  12: { bytes: 8, read: (c) => c.f64() },
};
const TEXT = 8;
const ARRAY = 9;

function readValue(cursor: Cursor, type: number): GgufValue {
  if (type === TEXT) return cursor.text();
  if (type === ARRAY) return readArray(cursor);
  const scalar = SCALARS[type];
  if (scalar === undefined) throw new UserError(`${cursor.file} is damaged: metadata of unknown type ${type}`);
  return scalar.read(cursor);
}

function readArray(cursor: Cursor): GgufValue {
  const type = cursor.u32();
  if (type === TEXT) {
    const count = cursor.count('texts', 8);
    const texts: string[] = [];
    for (let i = 0; i < count; i++) texts.push(cursor.text());
    return texts;
  }
  const scalar = SCALARS[type];
  if (scalar === undefined) throw new UserError(`${cursor.file} is damaged: a metadata list of type ${type}`);
  const count = cursor.count('list entries', scalar.bytes);
  // All of it must be held before the list is made, so a false count cannot make memory.
  cursor.take(count * scalar.bytes);
  cursor.at -= count * scalar.bytes;
  const numbers =
    scalar.bytes <= 4
      ? type === 6
        ? new Float32Array(count)
        : type === 4
          ? new Uint32Array(count)
          : new Int32Array(count)
      : new Float64Array(count);
  for (let i = 0; i < count; i++) numbers[i] = Number(scalar.read(cursor));
  return numbers;
}

function readTensorEntry(cursor: Cursor): GgufTensor {
  const name = cursor.text();
  const where = `${cursor.file}: tensor ${show(name)}`;
  const rank = cursor.u32();
  if (rank < 1 || rank > RANK_MAX)
    throw new UserError(`${where} has ${rank} dimensions, 1 to ${RANK_MAX} are possible; the file is damaged`);
  const dims = Array.from({ length: rank }, () => cursor.u64());
  const code = cursor.u32();
  const type = GGML_TYPES[code];
  if (type === undefined)
    throw new UserError(
      `${where} is stored in a type that is not read here (number ${code}); take a file of type F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 or Q2_K to Q6_K`,
    );
  const elements = dims.reduce((product, d) => product * d, 1);
  const { items, bytes } = BLOCKS[type];
  if (!dims.every((d) => d >= 1 && Number.isSafeInteger(d)) || elements > 32 * cursor.fileSize)
    throw new UserError(
      `${where} of shape ${show(dims.toReversed())} cannot lie in ${cursor.fileSize} bytes; the file is damaged`,
    );
  if (dims[0] % items !== 0)
    throw new UserError(
      `${where} has rows of ${dims[0]}, which is not a multiple of ${type}'s ${items}; the file is damaged`,
    );
  return { name, type, shape: dims.toReversed(), elements, offset: cursor.u64(), bytes: (elements / items) * bytes };
}

function placeTensors(
  source: ByteSource,
  found: readonly GgufTensor[],
  dataStart: number,
  alignment: number,
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const tensor of found) {
    const offset = dataStart + tensor.offset;
    if (tensors.has(tensor.name))
      throw new UserError(`${source.name} is damaged: tensor ${show(tensor.name)} stands in it twice`);
    if (tensor.offset % alignment !== 0)
      throw new UserError(
        `${source.name} is damaged: tensor ${show(tensor.name)} starts at ${tensor.offset}, not at a multiple of ${alignment}`,
      );
    if (offset + tensor.bytes > source.size)
      throw new UserError(
        `${source.name} is truncated: tensor ${show(tensor.name)} ends at byte ${offset + tensor.bytes} and the file has ${source.size}; download or copy it again`,
      );
    tensors.set(tensor.name, { ...tensor, offset });
  }
  const sorted = [...tensors.values()].sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].offset < sorted[i - 1].offset + sorted[i - 1].bytes)
      throw new UserError(
        `${source.name} is damaged: tensors ${show(sorted[i - 1].name)} and ${show(sorted[i].name)} overlap`,
      );
  }
  return tensors;
}

/** One tensor as float32, row-major, dequantised piece by piece. // [elements] */
export async function readGgufTensor(file: GgufFile, name: string): Promise<Float32Array> {
  const tensor = file.tensors.get(name);
  if (tensor === undefined) throw new UserError(`${file.source.name} has no tensor ${name}`);
  const { items, bytes: blockBytes } = BLOCKS[tensor.type];
  const out = new Float32Array(tensor.elements);
  const piece = Math.floor(PIECE_BYTES / blockBytes) * blockBytes;
  for (let at = 0; at < tensor.bytes; at += piece) {
    const bytes = await file.source.read(tensor.offset + at, Math.min(piece, tensor.bytes - at));
    const first = (at / blockBytes) * items;
    dequantise(tensor.type, bytes, out.subarray(first, first + (bytes.byteLength / blockBytes) * items));
  }
  return out;
}
