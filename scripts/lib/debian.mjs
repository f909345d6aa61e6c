/**
 * Puts what the tests need onto a Debian machine where we are root: a browser, a virtual display and a software Vulkan
 * driver new enough for Dawn. Elsewhere it changes nothing and reports what is missing.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, run, which } from './command.mjs';

const lists = '/etc/apt/sources.list.d';
const ourList = join(lists, 'troupe-backports.sources');
/** Mesa older than this is refused by Dawn. */
const oldestMesa = 24;

export function browserPath() {
  if (process.env.CHROMIUM_PATH) return existsSync(process.env.CHROMIUM_PATH) ? process.env.CHROMIUM_PATH : null;
  return which('chromium') ?? which('chromium-browser') ?? which('google-chrome');
}

export function displayServer() {
  return which('Xvfb');
}

function mesaMajor() {
  const version = ask('dpkg-query', ['-W', '-f', '${Status} ${Version}', 'mesa-vulkan-drivers']);
  const match = /^install ok installed (?:\d+:)?(\d+)\./.exec(version ?? '');
  return match ? Number(match[1]) : 0;
}

export function vulkanDriver() {
  const folder = '/usr/share/vulkan/icd.d';
  const found = existsSync(folder) && readdirSync(folder).some((name) => name.startsWith('lvp_icd'));
  return found && mesaMajor() >= oldestMesa;
}

function codename() {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  return /^VERSION_CODENAME=(\w+)$/m.exec(text)?.[1] ?? null;
}

/** The machine's own source for `suite`, rewritten for its backports; null where it has none that can be read. */
export function backportsSource(files, suite) {
  for (const text of files) {
    for (const stanza of text.split(/\n\s*\n/)) {
      if (new RegExp(`^Suites:.*\\b${suite}\\b(?!-)`, 'm').test(stanza))
        return `${stanza.replace(/^Suites:.*$/m, `Suites: ${suite}-backports`).trim()}\n`;
    }
    const line = new RegExp(`^deb (?:\\[([^\\]]*)\\] )?(\\S+) ${suite} (.+)$`, 'm').exec(text);
    if (line) {
      const signed = /signed-by=(\S+)/.exec(line[1] ?? '');
      return `Types: deb\nURIs: ${line[2]}\nSuites: ${suite}-backports\nComponents: ${line[3]}\n${signed ? `Signed-By: ${signed[1]}\n` : ''}`;
    }
  }
  return null;
}

function sourceFiles() {
  const named = existsSync(lists)
    ? readdirSync(lists)
        .filter((name) => /\.(sources|list)$/.test(name))
        .map((name) => join(lists, name))
    : [];
  return [...named, '/etc/apt/sources.list']
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'));
}

async function apt(args, say) {
  say(`  apt-get ${args.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { code, output } = await run('apt-get', [...args, '-y', '-q', '-o', 'DPkg::Lock::Timeout=120'], {
    env,
    timeoutMs: 15 * 60_000,
  });
  if (code !== 0) say(`  apt-get ended with ${code}: ${output.trim().split('\n').slice(-3).join(' | ')}`);
  return code === 0;
}

async function installDriver(say) {
  const suite = codename();
  if (suite !== 'bookworm') return apt(['install', '--no-install-recommends', 'mesa-vulkan-drivers'], say);
  const files = sourceFiles();
  if (!files.some((text) => text.includes(`${suite}-backports`))) {
    const source = backportsSource(files, suite);
    if (!source) return say('  This machine’s apt sources could not be read, so no Vulkan driver was installed.');
    writeFileSync(ourList, source);
    await apt(['update'], say);
  }
  return apt(['install', '--no-install-recommends', '-t', `${suite}-backports`, 'mesa-vulkan-drivers'], say);
}

/** Installs what is missing where that is possible. */
export async function prepareMachine(say = console.log) {
  const missing = [browserPath() ? null : 'chromium', displayServer() ? null : 'xvfb'].filter(Boolean);
  const driver = vulkanDriver();
  if (!missing.length && driver) return;
  const able =
    process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/etc/debian_version') && which('apt-get');
  if (!able) return;
  say(`Installing for the tests: ${[...missing, ...(driver ? [] : ['a software Vulkan driver'])].join(', ')}`);
  await apt(['update'], say);
  if (missing.length) await apt(['install', '--no-install-recommends', ...missing], say);
  if (!driver) await installDriver(say);
}
