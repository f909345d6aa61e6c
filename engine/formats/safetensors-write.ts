/**
 * Writing safetensors files. The header is laid out first, from names and shapes alone; data is then filled in tensor by
 * tensor, so that a whole model can be written while only one tensor more than the file itself is held.
 */
import { floatToHalf } from './half.ts';
import { TYPE_BYTES } from './safetensors.ts';

/** Floats are written as F32 or F16, whole numbers as I32. */
export type WrittenType = 'F32' | 'F16' | 'I32';
export type TensorPlan = { readonly name: string; readonly shape: readonly number[]; readonly type: WrittenType };
export type TensorOut = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
};

/** What transformers expects of PyTorch weights. */
const PT = { format: 'pt' };

/** A file of the given tensors in the given order. */
export function writeSafetensors(
  tensors: readonly TensorOut[],
  as: 'F32' | 'F16' = 'F32',
  metadata: Readonly<Record<string, string>> = PT,
): Uint8Array {
  const plan = tensors.map(({ name, shape, data }): TensorPlan => ({
    name,
    shape,
    type: data instanceof Int32Array ? 'I32' : as,
  }));
  const file = layOut(plan, metadata);
  tensors.forEach(({ data }, i) => file.fill(i, data));
  return file.bytes;
}

/** The same for tensors that are read one by one when their turn comes. */
export async function writeSafetensorsFrom(
  plan: readonly TensorPlan[],
  read: (name: string) => Promise<Float32Array>,
): Promise<Uint8Array> {
  const file = layOut(plan, PT);
  for (const [i, { name }] of plan.entries()) file.fill(i, await read(name));
  return file.bytes;
}

type Laid = { readonly bytes: Uint8Array; fill(index: number, data: Float32Array | Int32Array): void };

function layOut(plan: readonly TensorPlan[], metadata: Readonly<Record<string, string>>): Laid {
  const header: Record<string, unknown> = { __metadata__: metadata };
  const places: number[] = [];
  let end = 0;
  for (const { name, shape, type } of plan) {
    if (Object.hasOwn(header, name)) throw new Error(`two tensors are named ${name}`);
    places.push(end);
    const start = end;
    end += planBytes({ name, shape, type });
    header[name] = { dtype: type, shape, data_offsets: [start, end] };
  }
  // The data starts on a multiple of eight, so that readers can map it.
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.byteLength / 8) * 8;
  const bytes = new Uint8Array(8 + headerBytes + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, 8, 8 + headerBytes).set(json, 8);
  return { bytes, fill: (index, data) => writeData(bytes, 8 + headerBytes + places[index], plan[index], data) };
}

/** Bytes of one tensor's data. */
export function planBytes({ shape, type }: TensorPlan): number {
  return shape.reduce((product, d) => product * d, 1) * TYPE_BYTES[type];
}

function writeData(out: Uint8Array, at: number, plan: TensorPlan, data: Float32Array | Int32Array): void {
  if (data.length * TYPE_BYTES[plan.type] !== planBytes(plan))
    throw new Error(`tensor ${plan.name} of shape [${plan.shape.join(', ')}] cannot have ${data.length} elements`);
  if (plan.type !== 'F16') return out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
  for (let i = 0; i < data.length; i++) {
    const bits = floatToHalf(data[i]);
    out[at + 2 * i] = bits & 0xff;
    out[at + 2 * i + 1] = bits >> 8;
  }
}
