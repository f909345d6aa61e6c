/** Reading golden fixtures: safetensors files of expected numbers, by name. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { openSafetensors, readFloats, readInts } from '../../engine/formats/safetensors.ts';
import { openSource } from '../../engine/formats/source.ts';
import '../../engine/formats/source.node.ts';

export type Fixture = {
  readonly names: readonly string[];
  has(name: string): boolean;
  shape(name: string): readonly number[];
  floats(name: string): Promise<Float32Array>;
  ints(name: string): Promise<Int32Array>;
  /** The one number of a tensor with one element. */
  number(name: string): Promise<number>;
};

/** Null where the file is not there. */
export async function openFixture(path: string): Promise<Fixture | null> {
  if (!existsSync(path)) return null;
  const file = await openSafetensors(await openSource(basename(path), { kind: 'path', path }));
  return {
    names: [...file.entries.keys()],
    has: (name) => file.entries.has(name),
    shape: (name) => file.entries.get(name)?.shape ?? [],
    floats: (name) => readFloats(file, name),
    ints: (name) => readInts(file, name),
    number: async (name) => (await readFloats(file, name))[0],
  };
}
