/** Builds what is stale: `npm run build [-- pages shell]`. */
import { buildStale } from './lib/build.mjs';
import { ensureInstalled, requireNode } from './lib/install.mjs';

requireNode();
const names = process.argv.slice(2);
const unknown = names.find((name) => name !== 'pages' && name !== 'shell');
if (unknown) {
  console.error(`No such part: ${unknown}; parts are pages and shell.`);
  process.exit(2);
}
try {
  await ensureInstalled();
  const built = await buildStale(names.length ? names : ['pages', 'shell']);
  if (!built.length) console.log('Everything is up to date.');
} catch (failure) {
  console.error(failure.message);
  process.exit(1);
}
