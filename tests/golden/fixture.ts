/** Reading golden fixtures: safetensors files of expected numbers, by name. */
import { openSafetensors, readFloats, readInts } from '../../engine/formats/safetensors.ts';
import { openSource } from '../../engine/formats/source.ts';
import type { FileRef } from '../../engine/protocol.ts';

export type Fixture = {
  readonly names: readonly string[];
  has(name: string): boolean;
  shape(name: string): readonly number[];
  floats(name: string): Promise<Float32Array>;
  ints(name: string): Promise<Int32Array>;
  /** The one number of a tensor with one element. */
  number(name: string): Promise<number>;
};

export async function readFixture(name: string, ref: FileRef): Promise<Fixture> {
  const file = await openSafetensors(await openSource(name, ref));
  return {
    names: [...file.entries.keys()],
    has: (name) => file.entries.has(name),
    shape: (name) => file.entries.get(name)?.shape ?? [],
    floats: (name) => readFloats(file, name),
    ints: (name) => readInts(file, name),
    number: async (name) => (await readFloats(file, name))[0],
  };
}
