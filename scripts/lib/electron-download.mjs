/**
 * Downloads Electron's own binary the way its package does (its release page, its checksums), printing progress as plain
 * lines so that the caller can tell a slow download from a dead one. Run as a child process, which can be ended.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { bin } from './paths.mjs';

const electron = createRequire(bin('electron/package.json'));
const { downloadArtifact } = await import(pathToFileURL(electron.resolve('@electron/get')).href);

let printed = -1;
function progress({ percent }) {
  const whole = Math.floor((percent ?? 0) * 20) * 5;
  if (whole === printed) return;
  printed = whole;
  console.log(`  Electron ${whole} %`);
}

await downloadArtifact({
  version: electron('./package.json').version,
  artifactName: 'electron',
  cacheRoot: process.env.electron_config_cache,
  checksums: electron('./checksums.json'),
  platform: process.platform,
  arch: process.arch,
  downloadOptions: { quiet: true, getProgressCallback: async (state) => progress(state) },
});
// The package's installer finds the checked archive in the cache and unpacks it where it expects it.
electron('./install.js');
