import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UserError } from '../errors.ts';
import { fromBytes } from './bytes-source.ts';
import { openGguf, readGgufTensor } from './gguf.ts';
import { ggufFile } from './gguf-test-file.ts';
import { openSafetensors, readFloats } from './safetensors.ts';
import { FIXTURES, missing, openPath } from './test-support.node.ts';

const open = (bytes: Uint8Array) => openGguf(fromBytes('a.gguf', bytes));
const lacking = missing(`${FIXTURES}/gguf/blocks.gguf`);

describe('GGUF', () => {
  it('reads metadata of every type and a tensor', async () => {
    const values: [string, number, unknown][] = [
      ['u8', 0, 200],
      ['i8', 1, -3],
      ['u16', 2, 60_000],
      ['i16', 3, -300],
      ['u32', 4, 4e9],
      ['i32', 5, -5],
      ['f32', 6, 0.5],
      ['yes', 7, true],
      ['text', 8, 'grüß dich'],
      ['u64', 10, 2 ** 40],
      ['i64', 11, -(2 ** 40)],
      ['f64', 12, 0.1],
    ];
    const read = await open(
      ggufFile(values, [
        { name: 't', dims: [2, 3], type: 0, data: new Uint8Array(new Float32Array([1, 2, 3, 4, 5, 6]).buffer) },
      ]),
    );
    expect([...read.metadata]).toEqual(values.map(([key, , value]) => [key, value]));
    expect(read.tensors.get('t')).toMatchObject({ shape: [3, 2], type: 'F32' });
    expect([...(await readGgufTensor(read, 't'))]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('reads lists of texts and numbers', async () => {
    const read = await open(
      ggufFile(
        [
          ['texts', 9, { of: 8, values: ['a', '', 'ü'] }],
          ['numbers', 9, { of: 5, values: [1, -1] }],
          ['floats', 9, { of: 6, values: [0.5] }],
          ['none', 9, { of: 4, values: [] }],
        ],
        [],
      ),
    );
    expect(read.metadata.get('texts')).toEqual(['a', '', 'ü']);
    expect(read.metadata.get('numbers')).toEqual(Int32Array.of(1, -1));
    expect(read.metadata.get('floats')).toEqual(Float32Array.of(0.5));
    expect(read.metadata.get('none')).toHaveLength(0);
  });

  it('reads a header larger than its first read', async () => {
    const long = 'x'.repeat(3 * 2 ** 20);
    const read = await open(
      ggufFile(
        [
          ['long', 8, long],
          ['after', 4, 7],
        ],
        [],
      ),
    );
    expect(read.metadata.get('after')).toBe(7);
  });

  const f32 = (dims: readonly (number | bigint)[], over = {}) => ({
    name: 't',
    dims,
    type: 0,
    data: new Uint8Array(32),
    ...over,
  });
  it.each([
    ['another file', new TextEncoder().encode('this is not a model at all'), 'not a GGUF'],
    ['an old version', ggufFile([], [], { version: 1 }), 'version is 1'],
    ['big-endian', ggufFile([], [], { version: 0x03000000 }), 'big-endian'],
    ['a false number of entries', ggufFile([], [], { pairs: 2n ** 60n }), 'metadata entries'],
    ['a false number of tensors', ggufFile([], [], { tensors: 2n ** 40n }), 'tensors'],
    ['a text longer than the file', ggufFile([['k', 8, { length: 2n ** 50n }]], []), 'characters'],
    ['a list longer than the file', ggufFile([['k', 9, { of: 8, length: 2n ** 40n, values: [] }]], []), 'texts'],
    ['a list of lists', ggufFile([['k', 9, { of: 9, values: [] }]], []), 'list of type 9'],
    ['an unknown type', ggufFile([['k', 77, 0]], []), 'unknown type 77'],
    [
      'one key twice',
      ggufFile(
        [
          ['k', 4, 1],
          ['k', 4, 2],
        ],
        [],
      ),
      'twice',
    ],
    ['a strange alignment', ggufFile([['general.alignment', 4, 33]], []), 'alignment'],
    ['an unknown quantisation', ggufFile([], [f32([8], { type: 99 })]), 'number 99'],
    ['no dimensions', ggufFile([], [f32([])]), '0 dimensions'],
    ['enormous dimensions', ggufFile([], [f32([2n ** 40n, 2n ** 40n])]), 'cannot lie in'],
    ['a zero dimension', ggufFile([], [f32([0])]), 'cannot lie in'],
    ['a row that is no whole block', ggufFile([], [f32([16], { type: 2 })]), 'multiple'],
    ['a tensor beyond the end', ggufFile([], [f32([8], { offset: 4096n })]), 'truncated'],
    ['a tensor off its alignment', ggufFile([], [f32([4], { offset: 4n })]), 'multiple of 32'],
    ['tensors that overlap', ggufFile([], [f32([8]), f32([8], { name: 'u', offset: 0n })]), 'overlap'],
    ['one tensor twice', ggufFile([], [f32([8]), f32([8])]), 'twice'],
  ])('refuses %s', async (_, bytes, words) => {
    await expect(open(bytes)).rejects.toThrow(UserError);
    await expect(open(bytes)).rejects.toThrow(words);
  });

  it('survives any mutation of a good file', async () => {
    const good = ggufFile(
      [
        ['a', 8, 'text'],
        ['b', 9, { of: 8, values: ['x', 'y'] }],
        ['c', 9, { of: 4, values: [1, 2, 3] }],
      ],
      [{ name: 't', dims: [32, 2], type: 2, data: new Uint8Array(36) }],
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), async (at, value, keep) => {
        for (const bad of [good.with(at, value), good.slice(0, keep)]) {
          try {
            const read = await open(bad);
            for (const name of read.tensors.keys())
              expect((await readGgufTensor(read, name)).length).toBeLessThanOrEqual(32 * good.length);
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it.skipIf(lacking)(`dequantises every block type exactly as the reference ${lacking ?? ''}`, async () => {
    const blocks = await openGguf(await openPath(`${FIXTURES}/gguf/blocks.gguf`));
    const expected = await openSafetensors(await openPath(`${FIXTURES}/gguf/expected.safetensors`));
    expect(blocks.tensors.size).toBe(13);
    for (const name of blocks.tensors.keys())
      expect(await readGgufTensor(blocks, name), name).toEqual(await readFloats(expected, name));
  });

  it.skipIf(lacking)(`survives mutations of the block fixture ${lacking ?? ''}`, async () => {
    const good = new Uint8Array(readFileSync(`${FIXTURES}/gguf/blocks.gguf`));
    await fc.assert(
      fc.asyncProperty(fc.nat(1200), fc.nat(255), async (at, value) => {
        try {
          const read = await open(good.with(at, value));
          for (const name of read.tensors.keys()) await readGgufTensor(read, name);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
        }
      }),
      { numRuns: 200 },
    );
  });
});
