/**
 * Builds what is stale: the pages (Vite, dist/renderer) and the desktop shell (esbuild, dist/electron). Each part is built
 * only when a byte of its sources, its settings or the lock file differs from those of the last build.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run } from './command.mjs';
import { bin, electronOut, rendererOut, root } from './paths.mjs';
import { hashOf, isFresh, writeStamp } from './stamp.mjs';

const shared = ['package-lock.json', 'tsconfig.json', 'engine', 'workflows', 'renderer/security-headers.json'];

const parts = {
  pages: {
    inputs: [...shared, 'renderer', 'models'],
    stamp: join(rendererOut, '.stamp'),
    make: buildPages,
  },
  shell: {
    inputs: [...shared, 'electron', 'scripts/lib/build.mjs'],
    stamp: join(electronOut, '.stamp'),
    make: buildShell,
  },
};

async function buildPages() {
  const vite = bin('vite/bin/vite.js');
  const config = join(root, 'renderer/vite.config.ts');
  const { code, output } = await run(process.execPath, [vite, 'build', '--config', config, '--logLevel', 'warn'], {
    cwd: root,
  });
  if (code !== 0) throw new Error(`Building the pages failed:\n${output.trim().split('\n').slice(-30).join('\n')}`);
}

async function buildShell() {
  const { build } = await import(pathToFileURL(bin('esbuild/lib/main.js')).href);
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    external: ['electron'],
    logLevel: 'warning',
    legalComments: 'none',
  };
  // A sandboxed preload script must be one CommonJS file.
  for (const name of ['main', 'preload', 'host-preload']) {
    await build({ ...common, entryPoints: [`electron/${name}.ts`], outfile: join(electronOut, `${name}.cjs`) });
  }
}

/** Builds the named parts where they are stale; returns the names of those built. */
export async function buildStale(names, say = console.log) {
  const built = [];
  for (const name of names) {
    const part = parts[name];
    const hash = hashOf(part.inputs);
    if (isFresh(part.stamp, hash)) continue;
    const started = Date.now();
    say(`Building the ${name} …`);
    await part.make();
    writeStamp(part.stamp, hash);
    say(`Built the ${name} in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
    built.push(name);
  }
  return built;
}
