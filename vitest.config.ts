/** Unit tests stand beside their source; behaviour tests in tests/behaviour. End-to-end tests belong to Playwright. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const common = { environment: 'node', testTimeout: 60_000, hookTimeout: 60_000 } as const;

export default defineConfig({
  plugins: [svelte({ configFile: './renderer/svelte.config.js' })],
  test: {
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          ...common,
          name: 'unit',
          include: ['{engine,workflows,renderer,electron,cli,models,scripts,bench,tests}/**/*.test.{ts,mjs}'],
          exclude: ['tests/{behaviour,browser,desktop}/**', '**/node_modules/**'],
        },
      },
      {
        extends: true,
        test: {
          ...common,
          name: 'behaviour',
          include: ['tests/behaviour/**/*.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
