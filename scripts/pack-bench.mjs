/**
 * `npm run pack-bench [-- FOLDER]`: the WebGPU measurements as one folder that runs where there is no package registry: our
 * code in one file, Dawn's binary for this platform beside it, no model. There: `node FOLDER/run.mjs kernels decode train rl-step --json`.
 */
import { cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { build } from 'esbuild';

const MOST_BYTES = 60 * 2 ** 20;
const root = path.resolve(import.meta.dirname, '..');
const folder = path.resolve(process.argv[2] ?? path.join(root, 'dist/bench'));
const platform = `${process.platform}-${process.platform === 'darwin' ? 'universal' : process.arch}`;

async function bytesIn(place) {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map(async ({ parentPath, name }) => (await stat(path.join(parentPath, name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
await build({
  entryPoints: [path.join(root, 'bench/run.ts')],
  outfile: path.join(folder, 'run.mjs'),
  ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', minify: true, legalComments: 'inline' },
  external: ['webgpu', './ui.ts'],
  // Some of what is bundled asks for Node's modules the old way.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: 'error',
});
const dawn = path.join(folder, 'node_modules/webgpu');
for (const part of ['package.json', 'index.js', 'LICENSE.md', `dist/${platform}`])
  await cp(path.join(root, 'node_modules/webgpu', part), path.join(dawn, part), { recursive: true });
await cp(path.join(root, 'bench/torch_rates.py'), path.join(folder, 'torch_rates.py'));
for (const part of ['LICENSE', 'NOTICE']) await cp(path.join(root, part), path.join(folder, part));
await writeFile(path.join(folder, 'package.json'), `${JSON.stringify({ type: 'module', private: true }, null, 2)}\n`);
const bytes = await bytesIn(folder);
if (bytes > MOST_BYTES) {
  console.error(`The folder has ${(bytes / 2 ** 20).toFixed(1)} MiB and may have 60; see what was bundled: ${folder}`);
  process.exitCode = 1;
} else
  console.log(
    `${folder}: ${(bytes / 2 ** 20).toFixed(1)} MiB; run: node ${path.join(folder, 'run.mjs')} kernels decode train rl-step --json`,
  );
