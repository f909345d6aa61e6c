/**
 * The stages of `npm test`, in order. Each resolves to its counts; `needs` names what the machine must offer, and a stage
 * whose needs are not met is skipped with the reason (in CI that is a failure).
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildStale } from './build.mjs';
import { run } from './command.mjs';
import { add, none, ofExit, ofPlainLine, ofPlaywright, ofVitest } from './counts.mjs';
import { browserPath, displayServer } from './debian.mjs';
import { findElectron } from './electron-binary.mjs';
import { bin, root } from './paths.mjs';
import { openDisplay } from './xvfb.mjs';

const reports = join(root, 'test-results');
const stageLimitMs = 25 * 60_000;
const sources = ['engine', 'workflows', 'renderer', 'electron', 'cli', 'scripts'];

export const fixtures = join(process.env.TROUPE_SHARED ?? join(root, '../shared'), 'fixtures');

function node(args, { env = {}, show = true, onLine } = {}) {
  return run(process.execPath, args, {
    cwd: root,
    env: { ...process.env, FORCE_COLOR: '0', ...env },
    show,
    onLine,
    timeoutMs: stageLimitMs,
    group: true,
  });
}

/** Tools that say yes or no; their output is shown only when they say no. */
async function tools(named) {
  let counts = none;
  for (const [name, args] of named) {
    const { code, output } = await node(args, { show: false });
    console.log(`${code === 0 ? '  ok   ' : '  FAIL '}${name}`);
    if (code !== 0) console.log(output.trim().split('\n').slice(0, 120).join('\n'));
    counts = add(counts, ofExit(code));
  }
  return counts;
}

function report(name) {
  mkdirSync(reports, { recursive: true });
  const path = join(reports, `${name}.json`);
  rmSync(path, { force: true });
  return { path, text: () => (existsSync(path) ? readFileSync(path, 'utf8') : '') };
}

async function vitest(project) {
  const { path, text } = report(project);
  const { code } = await node([
    bin('vitest/vitest.mjs'),
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${path}`,
  ]);
  return ofVitest(text(), code);
}

async function playwright(project, env = {}) {
  await buildStale(['pages', 'shell']);
  const { path, text } = report(project);
  const { code } = await node([bin('@playwright/test/cli.js'), 'test', `--project=${project}`], {
    env: { PLAYWRIGHT_JSON: path, ...env },
  });
  return ofPlaywright(text(), code);
}

async function golden() {
  const isTotal = (line) => /^\d+ passed, \d+ failed, \d+ skipped$/.test(line);
  const { code, output } = await node(['--import', 'tsx', 'tests/golden/golden.ts', fixtures, '--brief'], {
    show: false,
    onLine: (line) => !isTotal(line) && console.log(line),
  });
  return ofPlainLine(output, code);
}

async function desktop() {
  const { program } = await findElectron();
  const display = await openDisplay();
  try {
    return await playwright('desktop', { DISPLAY: display.display, WAYLAND_DISPLAY: '', TROUPE_ELECTRON: program });
  } finally {
    display.close();
  }
}

const needsBrowser = () => (browserPath() ? null : 'no Chromium on this machine (set CHROMIUM_PATH)');
async function needsDesktop() {
  if (!displayServer()) return 'no Xvfb on this machine';
  const { program, reason } = await findElectron();
  return program ? null : reason;
}

export const stages = [
  {
    name: 'types',
    title: 'Types',
    work: () =>
      tools([
        ['tsc', [bin('typescript/bin/tsc'), '--noEmit', '-p', '.']],
        [
          'svelte-check',
          [
            bin('svelte-check/bin/svelte-check'),
            '--tsconfig',
            './tsconfig.json',
            '--threshold',
            'error',
            '--output',
            'human',
          ],
        ],
      ]),
  },
  {
    name: 'lint',
    title: 'Lint and format',
    work: () =>
      tools([
        ['eslint', [bin('eslint/bin/eslint.js'), '.']],
        ['prettier', [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.']],
      ]),
  },
  {
    name: 'dependencies',
    title: 'Direction of dependencies, unused code',
    work: () =>
      tools([
        [
          'dependency-cruiser',
          [bin('dependency-cruiser/bin/dependency-cruise.mjs'), '--config', '.dependency-cruiser.cjs', ...sources],
        ],
        ['knip', [bin('knip/bin/knip.js')]],
      ]),
  },
  { name: 'unit', title: 'Unit tests', work: () => vitest('unit') },
  {
    name: 'golden',
    title: 'Golden fixtures',
    needs: () => (existsSync(fixtures) ? null : `no fixtures at ${fixtures}`),
    optional: true,
    work: golden,
  },
  { name: 'behaviour', title: 'Behaviour', work: () => vitest('behaviour') },
  { name: 'browser', title: 'The page in a browser', needs: needsBrowser, work: () => playwright('browser') },
  { name: 'desktop', title: 'The desktop window', needs: needsDesktop, work: desktop },
];
