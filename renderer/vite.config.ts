/**
 * Builds the one set of pages that a browser and the desktop window both load: `index.html` (the workbench) and `host.html`
 * (the desktop's hidden window, which owns the workers). Nothing is inlined, so a strict content-security policy holds.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..');
const out = resolve(root, 'dist/renderer');
const tfjsWasm = dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/package.json'));

/** Files that are fetched at run time by address and so have no import to follow. */
const copied: readonly { from: string; to: string }[] = [
  { from: resolve(root, 'models/nano'), to: 'models/nano' },
  ...['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-threaded-simd.wasm'].map((name) => ({
    from: resolve(tfjsWasm, 'dist', name),
    to: `wasm/${name}`,
  })),
];

function copyRuntimeFiles(): Plugin {
  return {
    name: 'troupe-copy-runtime-files',
    apply: 'build',
    async closeBundle() {
      for (const { from, to } of copied) {
        if (!existsSync(from)) continue;
        await mkdir(dirname(resolve(out, to)), { recursive: true });
        await cp(from, resolve(out, to), { recursive: true });
      }
    },
  };
}

export default defineConfig({
  root: here,
  base: './',
  publicDir: false,
  plugins: [svelte({ configFile: resolve(here, 'svelte.config.js') }), copyRuntimeFiles()],
  worker: { format: 'es' },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4_000,
    rolldownOptions: { input: { index: resolve(here, 'index.html'), host: resolve(here, 'host.html') } },
  },
});
