import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 as nodeCrc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { crc32, zip } from './zip.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

function unzipper(): string | null {
  for (const python of ['python3', 'python'])
    try {
      execFileSync(python, ['-c', 'import zipfile'], { stdio: 'ignore' });
      return python;
    } catch {
      continue;
    }
  return null;
}
const python = unzipper();

describe('zip', () => {
  it('has the checksum of the format', () => {
    expect(crc32(text('123456789'))).toBe(0xcbf43926);
    if (nodeCrc32) expect(crc32(text('Ostra'))).toBe(nodeCrc32('Ostra'));
  });
  it('stores names and bytes as they are, with a directory that points at them', async () => {
    const bytes = new Uint8Array(
      await zip([
        { name: 'a/config.json', bytes: text('{}') },
        { name: 'ä.bin', bytes: text('xyz') },
      ]).arrayBuffer(),
    );
    const view = new DataView(bytes.buffer);
    const end = bytes.length - 22;
    expect(view.getUint32(end, true)).toBe(0x06054b50);
    expect(view.getUint16(end + 10, true)).toBe(2);
    const directory = view.getUint32(end + 16, true);
    expect(view.getUint32(directory, true)).toBe(0x02014b50);
    const first = view.getUint32(directory + 42, true);
    expect(view.getUint32(first, true)).toBe(0x04034b50);
    expect(new TextDecoder().decode(bytes.slice(30, 30 + 13))).toBe('a/config.json');
    expect(directory + view.getUint32(end + 12, true)).toBe(end);
  });
  it.skipIf(python === null)('is read back by another program (needs Python)', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'troupe-zip-'));
    try {
      const path = join(folder, 'out.zip');
      writeFileSync(
        path,
        new Uint8Array(
          await zip([
            { name: 'm/model.safetensors', bytes: new Uint8Array(70_000).fill(7) },
            { name: 'm/ä.json', bytes: text('{}') },
          ]).arrayBuffer(),
        ),
      );
      const script =
        'import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.testzip(), [i.filename for i in z.infolist()], len(z.read("m/model.safetensors")))';
      expect(
        execFileSync(python as string, ['-c', script, path], {
          encoding: 'utf8',
          env: { ...process.env, PYTHONIOENCODING: 'utf8' },
        }).trim(),
      ).toBe("None ['m/model.safetensors', 'm/ä.json'] 70000");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
