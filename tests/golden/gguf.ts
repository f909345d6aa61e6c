/** Every GGUF block type against what it dequantises to; at most one rounding of float32 is allowed. */
import { basename } from 'node:path';
import { openGguf, readGgufTensor } from '../../engine/formats/gguf.ts';
import { openSource } from '../../engine/formats/source.ts';
import { openFixture } from './fixture.node.ts';
import type { Checks } from './report.ts';

export async function checkGguf(folder: string, checks: Checks): Promise<void> {
  const expected = await openFixture(`${folder}/expected.safetensors`);
  if (expected === null) return checks.skipped('blocks', `no ${folder}/expected.safetensors`);
  const path = `${folder}/blocks.gguf`;
  const blocks = await openGguf(await openSource(basename(path), { kind: 'path', path }));
  for (const name of expected.names)
    checks.measured(name, roundings(await readGgufTensor(blocks, name), await expected.floats(name)), 1);
}

/** The largest difference in units of the last place of the wanted float32. */
function roundings(got: Float32Array, wanted: Float32Array): number {
  if (got.length !== wanted.length) return NaN;
  const places = (x: Float32Array) =>
    Int32Array.from(new Int32Array(x.buffer, x.byteOffset, x.length), (bits) =>
      bits < 0 ? -(bits & 0x7fffffff) : bits,
    );
  const [a, b] = [places(got), places(wanted)];
  let worst = 0;
  for (let i = 0; i < a.length; i++) worst = Math.max(worst, Math.abs(a[i] - b[i]));
  return worst;
}
