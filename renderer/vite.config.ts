/**
 * Builds the one set of pages that a browser and the desktop window both load: `index.html` (the workbench) and `host.html`
 * (the desktop's hidden window, which owns the workers). Nothing is inlined, so a strict content-security policy holds.
 */
import { createReadStream, existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..');
const out = resolve(root, 'dist/renderer');
/** The bundled model is fetched at run time by address and so has no import to follow. */
const bundled = { from: resolve(root, 'models/nano'), to: 'models/nano' };

function bundledModel(): Plugin {
  return {
    name: 'troupe-bundled-model',
    configureServer(server) {
      server.middlewares.use(`/${bundled.to}`, (request, response, next) => {
        const name = (request.url ?? '').slice(1);
        if (!/^[\w.-]+$/.test(name) || !existsSync(resolve(bundled.from, name))) return next();
        createReadStream(resolve(bundled.from, name)).pipe(response);
      });
    },
    async closeBundle() {
      if (this.meta.watchMode || !existsSync(out) || !existsSync(bundled.from)) return;
      await cp(bundled.from, resolve(out, bundled.to), { recursive: true });
    },
  };
}

export default defineConfig({
  root: here,
  base: './',
  publicDir: false,
  plugins: [svelte({ configFile: resolve(here, 'svelte.config.js') }), bundledModel()],
  worker: { format: 'es' },
  // Shared memory, and with it threads, exists only on an isolated page.
  server: {
    fs: { allow: [root] },
    headers: { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' },
  },
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
