/** The fuses of a packaged program, burnt into a copy of Electron's own: they read back, and the program is no Node. */
import { execFile } from 'node:child_process';
import { copyFile, link, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { getCurrentFuseWire, FuseV1Options } from '@electron/fuses';
import { expect, test } from '@playwright/test';
import { fuses } from '../../electron/fuses.ts';
import { root } from '../program.ts';

const run = promisify(execFile);
const states = { false: '0'.charCodeAt(0), true: '1'.charCodeAt(0) };

/** A copy of the program beside links to the rest of its folder, which is large. */
async function copyOf(program: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(dirname(program))) {
    const [from, to] = [join(dirname(program), name), join(folder, name)];
    if (name === basename(program)) await copyFile(from, to);
    else if ((await stat(from)).isDirectory()) await symlink(from, to);
    else await link(from, to).catch(() => copyFile(from, to));
  }
  return join(folder, basename(program));
}

test('a packaged program cannot be run as Node', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'troupe-fuses-'));
  try {
    const program = await copyOf(process.env.TROUPE_ELECTRON!, folder);
    const asNode = { env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' }, timeout: 20_000 };
    const before = await run(program, ['-e', 'console.log(`node ${6 * 7}`)'], asNode);
    expect(before.stdout).toContain('node 42');

    await run(process.execPath, ['--import', 'tsx', 'scripts/fuse.ts', program], { cwd: root });
    const wire = await getCurrentFuseWire(program);
    for (const option of [
      FuseV1Options.RunAsNode,
      FuseV1Options.EnableNodeCliInspectArguments,
      FuseV1Options.OnlyLoadAppFromAsar,
    ]) {
      expect(wire[option]).toBe(states[String(fuses[option]) as 'true' | 'false']);
    }
    const after = await run(program, ['-e', 'console.log(`node ${6 * 7}`)'], asNode).then(
      (result) => result.stdout,
      (failure: { stdout?: string }) => failure.stdout ?? '',
    );
    expect(after).not.toContain('node 42');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
