/**
 * `npm run dist`: installers for this system, or `npm run dist -- --linux dir`, `--win nsis`, `--mac dmg` and so on for the
 * named targets. The application holds the built pages and the shell and nothing else; its fuses are burnt and its archive
 * is sealed. Where Electron's release page cannot be reached only an unpacked application is made, from the development
 * copy, for trying out and not for giving away. TROUPE_UPDATE_FEED builds in an address where updates are looked for.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { register } from 'node:module';
import { buildStale } from './lib/build.mjs';
import { findElectron } from './lib/electron-binary.mjs';
import { ensureInstalled, requireNode } from './lib/install.mjs';
import { electronOut, rendererOut, root } from './lib/paths.mjs';

const staged = join(root, 'dist/app');
const output = join(root, 'dist/installers');
const systems = {
  linux: { platform: 'linux', usual: ['AppImage', 'deb'] },
  mac: { platform: 'darwin', usual: ['dmg', 'zip'] },
  win: { platform: 'win32', usual: ['nsis'] },
};
const usage = `Usage: npm run dist [-- --linux|--mac|--win [TARGET …]]

Without a system: this one, with its usual installers (${Object.entries(systems)
  .map(([name, { usual }]) => `${name}: ${usual.join(', ')}`)
  .join('; ')}).
TARGET is one of electron-builder's: dir, AppImage, deb, rpm, dmg, zip, nsis, portable …
Environment: TROUPE_UPDATE_FEED (an https address with the files of newer versions; without it no update is looked for).`;

function readOptions() {
  const flags = Object.fromEntries(Object.keys(systems).map((name) => [name, { type: 'boolean' }]));
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ...flags, help: { type: 'boolean', short: 'h' } },
  });
  const own = Object.keys(systems).find((name) => systems[name].platform === process.platform);
  const asked = Object.keys(systems).filter((name) => values[name]);
  if (asked.length > 1) throw new Error(`One system at a time: ${asked.join(', ')}; run the command once for each`);
  const bad = positionals.find((target) => !/^[a-zA-Z]+$/.test(target));
  if (bad !== undefined) throw new Error(`Not a target: ${bad}; see npm run dist -- --help`);
  const system = asked[0] ?? own;
  if (!system) throw new Error(`No installers are made on ${process.platform}; name a system: --linux, --mac or --win`);
  return { help: values.help, system, targets: positionals.length ? positionals : systems[system].usual };
}

/** The folder of an Electron for this system, or nothing where electron-builder shall fetch its own. */
async function electronFor(system, targets) {
  if (systems[system].platform !== process.platform) return {};
  const { program, reason } = await findElectron();
  if (!program) return {};
  const folder = dirname(program);
  const version = readFileSync(join(folder, 'version'), 'utf8').trim().replace(/^v/, '');
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies.electron;
  if (version === wanted && process.platform !== 'linux') return {};
  if (version !== wanted && targets.some((target) => target !== 'dir'))
    throw new Error(
      `Installers need Electron ${wanted}, and only ${version} is here (${reason}); connect to its release page, or make an unpacked application: npm run dist -- --${system} dir`,
    );
  if (version !== wanted) console.log(`Packing ${reason}: for trying out, not for giving away.`);
  return { electronDist: folder, electronVersion: version };
}

/** The application as it is packed: no dependency is left to install, since everything is bundled. */
function stage() {
  const { name, version, description, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  rmSync(staged, { recursive: true, force: true });
  mkdirSync(staged, { recursive: true });
  const author = 'the Troupe authors';
  const manifest = { name, version, description, license, author, main: 'electron/main.cjs', dependencies: {} };
  writeFileSync(join(staged, 'package.json'), JSON.stringify(manifest, null, 2));
  cpSync(electronOut, join(staged, 'electron'), { recursive: true });
  cpSync(rendererOut, join(staged, 'renderer'), { recursive: true });
  for (const file of ['LICENSE', 'NOTICE']) cpSync(join(root, file), join(staged, file));
}

/** Burns the fuses into the packed program, before anything is signed. */
async function afterPack({ appOutDir, packager, electronPlatformName }) {
  register('tsx/esm', import.meta.url, { data: true });
  const [{ flipFuses }, { fuses }] = await Promise.all([import('@electron/fuses'), import('../electron/fuses.ts')]);
  const names = {
    darwin: `${packager.appInfo.productFilename}.app`,
    win32: `${packager.appInfo.productFilename}.exe`,
  };
  const program = join(appOutDir, names[electronPlatformName] ?? packager.executableName);
  const resources = electronPlatformName === 'darwin' ? `${names.darwin}/Contents/Resources` : 'resources';
  rmSync(join(appOutDir, resources, 'default_app.asar'), { force: true });
  await flipFuses(program, { ...fuses, resetAdHocDarwinSignature: electronPlatformName === 'darwin' });
}

function configuration(electron) {
  const feed = process.env.TROUPE_UPDATE_FEED;
  if (feed && !/^https:\/\//.test(feed)) throw new Error(`TROUPE_UPDATE_FEED is not an https address: ${feed}`);
  return {
    appId: 'org.troupe.workbench',
    productName: 'Troupe',
    copyright: 'Copyright 2026 the Troupe authors',
    directories: { app: staged, output, buildResources: join(root, 'electron') },
    files: ['**/*', '!**/.stamp'],
    asar: true,
    // Everything is bundled: node_modules is neither rebuilt nor searched.
    beforeBuild: () => Promise.resolve(false),
    icon: join(root, 'electron/icon.png'),
    publish: feed ? { provider: 'generic', url: feed } : null,
    fileAssociations: [
      {
        ext: 'troupe.json',
        name: 'Troupe team',
        description: 'A team of language models',
        role: 'Editor',
        mimeType: 'application/x-troupe+json',
      },
    ],
    linux: { category: 'Science', executableName: 'troupe', maintainer: 'the Troupe authors' },
    deb: { depends: [] },
    mac: { category: 'public.app-category.developer-tools' },
    nsis: { oneClick: false, perMachine: false, allowToChangeInstallationDirectory: true },
    afterPack,
    ...electron,
  };
}

async function dist({ system, targets }) {
  await ensureInstalled();
  const electron = await electronFor(system, targets);
  await buildStale(['pages', 'shell']);
  stage();
  const { build, Platform } = await import('electron-builder');
  const platform = { linux: Platform.LINUX, mac: Platform.MAC, win: Platform.WINDOWS }[system];
  const made = await build({
    targets: platform.createTarget(targets),
    config: configuration(electron),
    projectDir: root,
  });
  const unpacked = targets.includes('dir') ? [join(output, system === 'mac' ? 'mac' : `${system}-unpacked`)] : [];
  for (const path of [...unpacked, ...made]) console.log(`Made ${path}`);
}

requireNode();
try {
  const options = readOptions();
  if (options.help) console.log(usage);
  else await dist(options);
} catch (failure) {
  console.error(failure.message);
  process.exit(failure.code?.startsWith?.('ERR_PARSE_ARGS') ? 2 : 1);
}
