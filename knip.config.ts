/** Finds files and exports that nothing uses. */
export default {
  entry: [
    'cli/main.ts',
    'electron/{main,preload,host-preload}.ts',
    'renderer/{main,host}.ts',
    'engine/{worker,start.web,start.node}*.ts',
    'workflows/controller.worker.ts',
    'workflows/download/downloads.web.ts',
    'workflows/tools/sandbox/{javascript,python}.node.ts',
    'workflows/templates/*.ts',
    'scripts/*.{mjs,ts}',
    'scripts/lib/electron-download.mjs',
    'models/*.ts',
    'bench/*.ts',
    'tests/**/*.ts',
    'renderer/testing/*.ts',
    '**/*.test.{ts,mjs}',
    'renderer/{vite.config.ts,svelte.config.js}',
  ],
  project: ['{engine,workflows,renderer,electron,cli,scripts,models,bench,tests}/**/*.{ts,mjs,svelte}'],
  ignoreExportsUsedInFile: true,
};
