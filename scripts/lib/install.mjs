/**
 * Installs the dependencies when they are missing or not those of package-lock.json. npm keeps a record of what it
 * installed in node_modules/.package-lock.json; comparing the two takes milliseconds and needs no stamp of our own.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { npmCommand, run } from './command.mjs';
import { modules, root } from './paths.mjs';

const minimum = [20, 19];

/** Ends the program with one sentence where Node is too old for the code that follows. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > minimum[0] || (major === minimum[0] && minor >= minimum[1])) return;
  console.error(
    `Troupe needs Node ${minimum.join('.')} or newer, this is ${process.versions.node}; install a newer one.`,
  );
  process.exit(1);
}

/** Why an installation is needed, or null. */
export function installReason(wantedText, installedText) {
  if (installedText === null) return 'nothing is installed yet';
  const wanted = JSON.parse(wantedText).packages ?? {};
  const installed = JSON.parse(installedText).packages ?? {};
  for (const [path, entry] of Object.entries(wanted)) {
    // Packages of other platforms are in the lock file and never on this disk.
    if (path === '' || entry.optional || entry.devOptional || entry.peer) continue;
    const name = path.replace(/^.*node_modules\//, '');
    if (!installed[path]) return `${name} is missing`;
    if (installed[path].version !== entry.version)
      return `${name} is ${installed[path].version}, wanted ${entry.version}`;
  }
  return null;
}

function readOrNull(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

/** How many packages are unpacked; npm makes all folders at once and fills them one by one. */
function unpacked() {
  try {
    const names = readdirSync(modules).flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((inner) => `${name}/${inner}`) : [name],
    );
    return names.filter((name) => existsSync(join(modules, name, 'package.json'))).length;
  } catch {
    return 0;
  }
}

/** Makes node_modules what package-lock.json says; throws a sentence when npm fails. */
export async function ensureInstalled(say = console.log) {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const reason = installReason(lock, readOrNull(join(modules, '.package-lock.json')));
  if (!reason) return false;
  const count = Object.keys(JSON.parse(lock).packages).length;
  say(`Installing up to ${count} packages (${reason}); this happens once.`);
  const started = Date.now();
  const ticker = setInterval(
    () => say(`  ${Math.round((Date.now() - started) / 1000)} s, ${unpacked()} packages unpacked`),
    5_000,
  );
  const [npm, ...first] = npmCommand();
  const { code, output } = await run(npm, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
  });
  clearInterval(ticker);
  if (code !== 0)
    throw new Error(`npm ci failed with exit code ${code}:\n${output.trim().split('\n').slice(-20).join('\n')}`);
  say(`Installed in ${Math.round((Date.now() - started) / 1000)} s.`);
  return true;
}
