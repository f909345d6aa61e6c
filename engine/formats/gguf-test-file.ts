/** Writes small GGUF files for tests, good ones and ones that lie about a count, a length or a place. */

type List = { readonly of: number; readonly values: readonly unknown[]; readonly length?: bigint };
export type TestPair = readonly [key: string, type: number, value: unknown];
export type TestTensor = {
  readonly name: string;
  readonly dims: readonly (number | bigint)[];
  readonly type: number;
  readonly data: Uint8Array;
  readonly offset?: bigint;
};
type Lies = { readonly version?: number; readonly pairs?: bigint; readonly tensors?: bigint };

const ALIGNMENT = 32;
const SIZES: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

export function ggufFile(pairs: readonly TestPair[], tensors: readonly TestTensor[], lies: Lies = {}): Uint8Array {
  const parts: Uint8Array[] = [
    new TextEncoder().encode('GGUF'),
    scalar(4, lies.version ?? 3),
    scalar(10, lies.tensors ?? BigInt(tensors.length)),
    scalar(10, lies.pairs ?? BigInt(pairs.length)),
  ];
  for (const [key, type, value] of pairs) parts.push(text(key), scalar(4, type), ...valueParts(type, value));
  let offset = 0n;
  for (const tensor of tensors) {
    parts.push(
      text(tensor.name),
      scalar(4, tensor.dims.length),
      ...tensor.dims.map((d) => scalar(10, d)),
      scalar(4, tensor.type),
      scalar(10, tensor.offset ?? offset),
    );
    offset += BigInt(padded(tensor.data.length));
  }
  const header = join(parts);
  return join([
    header,
    new Uint8Array(padded(header.length) - header.length),
    ...tensors.flatMap(({ data }) => [data, new Uint8Array(padded(data.length) - data.length)]),
  ]);
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function valueParts(type: number, value: unknown): Uint8Array[] {
  if (type === 8) return typeof value === 'string' ? [text(value)] : [scalar(10, (value as { length: bigint }).length)];
  if (type !== 9) return SIZES[type] === undefined ? [] : [scalar(type, value as number)];
  const { of, values, length } = value as List;
  return [
    scalar(4, of),
    scalar(10, length ?? BigInt(values.length)),
    ...values.flatMap((inner) => valueParts(of, inner)),
  ];
}

function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return join([scalar(10, bytes.length), bytes]);
}

function scalar(type: number, value: number | bigint | boolean): Uint8Array {
  const view = new DataView(new ArrayBuffer(SIZES[type]));
  if (type === 6) view.setFloat32(0, Number(value), true);
  else if (type === 12) view.setFloat64(0, Number(value), true);
  else if (SIZES[type] === 8) view.setBigInt64(0, BigInt.asIntN(64, BigInt(value)), true);
  else if (SIZES[type] === 4) view.setInt32(0, Number(value) | 0, true);
  else if (SIZES[type] === 2) view.setInt16(0, Number(value), true);
  else view.setInt8(0, Number(value));
  return new Uint8Array(view.buffer);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
