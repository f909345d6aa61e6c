import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { fromBytes } from './bytes-source.ts';
import { openSafetensors, readFloats, readInts } from './safetensors.ts';
import { writeSafetensors } from './safetensors-write.ts';

const open = (bytes: Uint8Array) => openSafetensors(fromBytes('a.safetensors', bytes));

function file(header: unknown, data: Uint8Array = new Uint8Array(0), length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

describe('safetensors', () => {
  it('reads back what it writes', async () => {
    const data = Float32Array.of(1, -2.5, 3e-3, 65504, 0, -0);
    const made = writeSafetensors([
      { name: 'w', shape: [2, 3], data },
      { name: 'ids', shape: [2], data: Int32Array.of(-7, 9) },
      { name: 'none', shape: [0, 4], data: new Float32Array(0) },
    ]);
    const read = await open(made);
    expect(read.metadata).toEqual({ format: 'pt' });
    expect(read.entries.get('w')).toMatchObject({ type: 'F32', shape: [2, 3] });
    expect(await readFloats(read, 'w')).toEqual(data);
    expect(await readInts(read, 'ids')).toEqual(Int32Array.of(-7, 9));
    expect(await readFloats(read, 'none')).toEqual(new Float32Array(0));
    expect(new DataView(made.buffer).getUint32(0, true) % 8).toBe(0);
  });

  it('reads from a buffer that lies inside a larger one', async () => {
    const made = writeSafetensors([
      { name: 'a', shape: [1], data: Float32Array.of(3) },
      { name: 'b', shape: [2], data: Float32Array.of(1, 2) },
    ]);
    const read = await open(Buffer.from(made.buffer)); // as Node's readFile gives it; its slice() copies nothing
    expect(await readFloats(read, 'b')).toEqual(Float32Array.of(1, 2));
  });

  it('writes halves that round to the nearest', async () => {
    const read = await open(
      writeSafetensors([{ name: 'w', shape: [3], data: Float32Array.of(1.0001, 2, 1e-8) }], 'F16'),
    );
    expect(await readFloats(read, 'w')).toEqual(Float32Array.of(1, 2, 0));
  });

  it('refuses a tensor that does not have its shape when writing', () => {
    expect(() => writeSafetensors([{ name: 'w', shape: [2, 2], data: new Float32Array(3) }])).toThrow(
      'cannot have 3 elements',
    );
  });

  it('reads the other stored types', async () => {
    const data = new Uint8Array(8 + 2 + 8 + 2);
    const view = new DataView(data.buffer);
    view.setBigInt64(0, -5n, true);
    data.set([1, 0], 8);
    view.setFloat64(10, 0.5, true);
    view.setUint16(18, 0x3f80, true);
    const read = await open(
      file(
        {
          i: { dtype: 'I64', shape: [1], data_offsets: [0, 8] },
          b: { dtype: 'BOOL', shape: [2], data_offsets: [8, 10] },
          d: { dtype: 'F64', shape: [], data_offsets: [10, 18] },
          h: { dtype: 'BF16', shape: [1], data_offsets: [18, 20] },
        },
        data,
      ),
    );
    expect([...(await readInts(read, 'i')), ...(await readInts(read, 'b'))]).toEqual([-5, 1, 0]);
    expect([
      ...(await readFloats(read, 'd')),
      ...(await readFloats(read, 'h')),
      ...(await readFloats(read, 'i')),
    ]).toEqual([0.5, 1, -5]);
    await expect(readInts(read, 'h')).rejects.toThrow(UserError);
  });

  const f32 = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') => ({
    w: { dtype, shape, data_offsets: offsets },
  });
  it.each([
    ['nothing at all', new Uint8Array(3), '3 bytes'],
    ['a header longer than the file', file({}, undefined, 10_000n), '10000 bytes'],
    ['an enormous header', file({}, undefined, 2n ** 63n), String(2n ** 63n)],
    ['a header that is not JSON', file('{"w":'), 'not valid JSON'],
    ['a header that is a list', file('[1]'), 'JSON object'],
    ['a tensor beyond the end', file(f32([2], [0, 8]), new Uint8Array(4)), 'reaches beyond'],
    ['offsets the wrong way round', file(f32([1], [8, 4]), new Uint8Array(8)), 'reaches beyond'],
    ['negative offsets', file(f32([1], [-4, 0]), new Uint8Array(8)), 'offsets'],
    ['a shape that does not fit', file(f32([3], [0, 8]), new Uint8Array(8)), 'cannot have 8 bytes'],
    ['a shape that overflows', file(f32([2 ** 40, 2 ** 40], [0, 8]), new Uint8Array(8)), 'cannot have'],
    ['a shape of fractions', file(f32([1.5], [0, 6]), new Uint8Array(8)), 'shape'],
    ['an unknown type', file(f32([1], [0, 4], 'F8_E4M3'), new Uint8Array(4)), 'F8_E4M3'],
    ['a type from the prototype', file(f32([1], [0, 4], 'constructor'), new Uint8Array(4)), 'constructor'],
    [
      'tensors that overlap',
      file({ ...f32([2], [0, 8]), v: { dtype: 'F32', shape: [2], data_offsets: [4, 12] } }, new Uint8Array(12)),
      'overlap',
    ],
  ])('refuses %s', async (_, bytes, words) => {
    await expect(open(bytes)).rejects.toThrow(UserError);
    await expect(open(bytes)).rejects.toThrow(words);
  });

  it('survives any mutation of a good file', async () => {
    const good = writeSafetensors([
      { name: 'a', shape: [2, 4], data: new Float32Array(8) },
      { name: 'b', shape: [3], data: Int32Array.of(1, 2, 3) },
    ]);
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), async (at, value, keep) => {
        for (const bad of [good.with(at, value), good.slice(0, keep)]) {
          try {
            const read = await open(bad);
            for (const name of read.entries.keys())
              expect((await readFloats(read, name)).length).toBeLessThanOrEqual(good.length);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
