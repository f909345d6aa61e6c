/**
 * `npm start`: installs, builds what is stale and opens the workbench: a desktop window where there is a display and an
 * Electron program, else the same workbench as a page on this machine. Says which it chose and why.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildStale } from './lib/build.mjs';
import { which } from './lib/command.mjs';
import { electronArguments, findElectron } from './lib/electron-binary.mjs';
import { ensureInstalled, requireNode } from './lib/install.mjs';
import { electronOut, rendererOut, root } from './lib/paths.mjs';
import { serveFolder } from './lib/static-server.mjs';

const usage = `Usage: npm start [-- options]

  --browser   show the workbench as a page even where a desktop window could open
  --port N    the page's port (default 4173; a free one is taken when it is in use)
  --help      this text
  -- …        what follows a second -- is handed to Electron

Environment: ELECTRON_OVERRIDE_DIST_PATH (folder of an unpacked Electron), TROUPE_WORKSPACE (where runs and models are
kept, desktop only), TROUPE_CACHE (default ~/.cache/troupe).`;

const failedToOpenMs = 6_000;

function readOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        browser: { type: 'boolean' },
        port: { type: 'string', default: '4173' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw new Error(`--port must be from 0 to 65535: ${values.port}`);
    return { browser: Boolean(values.browser), help: Boolean(values.help), port, forElectron: positionals };
  } catch (failure) {
    console.error(`${failure.message}\n\n${usage}`);
    process.exit(2);
  }
}

/** null where a window can be shown, else why not. */
function noDisplay() {
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY)
    return 'there is no display';
  if (process.platform === 'darwin' && process.env.SSH_CONNECTION) return 'this is a remote session';
  return null;
}

function openBrowser(url) {
  if (noDisplay() || process.env.CI) return false;
  const opener =
    { darwin: ['open'], win32: ['cmd', '/c', 'start', ''] }[process.platform] ??
    (which('xdg-open') ? ['xdg-open'] : null);
  if (!opener) return false;
  const child = spawn(opener[0], [...opener.slice(1), url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
  return true;
}

async function openPage(reason, port) {
  await buildStale(['pages']);
  const page = await serveFolder(rendererOut, { port });
  console.log(`Troupe runs as a page: ${reason}.${page.moved ? ` Port ${port} is in use, so another was taken.` : ''}`);
  console.log(`Open ${page.url}   (Ctrl-C ends it)`);
  openBrowser(page.url);
}

/** Resolves to true when the window was opened and closed again, false when the program ended at once by itself. */
function openWindow(program, forElectron) {
  const env = { ...process.env };
  delete env.ELECTRON_RUN_AS_NODE;
  const started = Date.now();
  let told = false;
  // Chromium's own log says nothing that a person could act on.
  const quiet = '--log-level=3';
  const args = [join(electronOut, 'main.cjs'), ...electronArguments(), quiet, ...forElectron];
  const child = spawn(program, args, { cwd: root, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      told = true;
      child.kill(signal);
    });
  }
  return new Promise((settle) => {
    child.on('error', () => settle(false));
    child.on('exit', (code) => settle(told || code === 0 || Date.now() - started > failedToOpenMs));
  });
}

async function start({ browser, port, forElectron }) {
  await ensureInstalled();
  const hidden = browser ? 'you asked for --browser' : noDisplay();
  if (hidden) return openPage(hidden, port);
  const { program, reason } = await findElectron();
  if (!program) return openPage(reason, port);
  await buildStale(['pages', 'shell']);
  console.log(`Troupe opens as a desktop window, since there is a display: ${reason}.`);
  if (!(await openWindow(program, forElectron))) return openPage('the desktop window could not open', port);
}

requireNode();
const options = readOptions();
if (options.help) console.log(usage);
else {
  start(options).catch((failure) => {
    console.error(failure.message);
    process.exit(1);
  });
}
